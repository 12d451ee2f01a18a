//! What is served for paths that are no file.

mod util;

use std::{fs, os::unix::ffi::OsStrExt};

use util::{Reply, Server, serve, site::Site};
use web::{Application, StaticFiles};

fn server(site: &Site, set: fn(StaticFiles) -> StaticFiles) -> Server {
    let root = site.root();
    serve(move || Application::new().static_handler("/", set(StaticFiles::new(root).unwrap())))
}

fn page(server: &Server, target: &str) -> Reply {
    server.send("GET", target, "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", "")
}

#[test]
fn a_list_has_the_names_escaped_and_its_links_lead_to_the_files() {
    let site = Site::new();
    let names = [
        "plain.txt",
        "<script>alert(1)<",
        "a&b \"c\" 'd'.txt",
        "javascript:alert(1)",
        "100%25.txt",
        "question?x#y",
        "naïve.txt",
        "back\\slash",
    ];
    let directory = site.root().join("list");
    fs::create_dir_all(directory.join("inner dir")).unwrap();
    for name in names {
        fs::write(directory.join(name), name).unwrap();
    }
    fs::write(directory.join(".hidden"), "secret").unwrap();
    fs::write(directory.join(std::ffi::OsStr::from_bytes(b"no-text-\xff")), "x").unwrap();
    let server = server(&site, |files| files.list_directories(true));
    let reply = server.get("/list/");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'"));
    let text = reply.text();
    assert!(!text.contains("<script") && !text.contains(".hidden") && !text.contains("\"c\""), "{text}");
    assert!(text.contains("&lt;script&gt;alert(1)&lt;"), "{text}");
    assert!(text.contains("inner dir/</a>") && text.contains("href=\"./inner%20dir/\""), "{text}");
    assert!(text.contains("href=\"../\"") && text.contains("<li>no-text-\u{fffd}\n"), "{text}");
    let links: Vec<&str> = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), names.len() + 2);
    let mut served: Vec<String> = Vec::new();
    for link in links.iter().filter(|link| !link.ends_with('/')) {
        let reply = server.get(&format!("/list/{}", link.strip_prefix("./").unwrap()));
        assert_eq!(reply.status, 200, "{link}");
        served.push(reply.text().to_owned());
    }
    served.sort();
    let mut names = names.map(str::to_owned);
    names.sort();
    assert_eq!(served, names);
}

#[test]
fn lists_are_for_those_who_asked_for_them() {
    let site = Site::new();
    let list = server(&site, |files| files.list_directories(true));
    assert_eq!((list.get("/sub").status, list.get("/sub").header("location")), (301, Some("/sub/")));
    assert!(list.get("/").text().contains("letters.txt"));
    assert!(!list.get("/").text().contains("href=\"../\""));
    assert_eq!(list.get("//evil.example/..%2fsub/").status, 403);
    let head = list.send("HEAD", "/", "", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(server(&site, |files| files).get("/").status, 403);
    assert_eq!(server(&site, |files| files.index("index.html")).get("/").status, 404);
    let both = server(&site, |files| files.index("index.html").list_directories(true));
    assert_eq!(both.get("/sub/").text(), "<p>sub</p>");
    assert!(both.get("/").text().contains("letters.txt"));
    fs::write(site.root().join(".env"), "x").unwrap();
    assert!(!both.get("/").text().contains(".env"));
    let all = server(&site, |files| files.list_directories(true).serve_dot_files(true));
    assert!(all.get("/").text().contains(".env"));
}

#[test]
fn paths_of_pages_are_the_page_that_draws_them() {
    let site = Site::new();
    site.write("index.html", "<script src=app.js>");
    let server = server(&site, |files| files.index("index.html").fallback("index.html").cache_control("no-cache"));
    for target in ["/users/5", "/users/", "/letters.txt/x", "/a%20b?x=1"] {
        let reply = page(&server, target);
        assert_eq!((reply.status, reply.text()), (200, "<script src=app.js>"), "{target}");
        assert_eq!((reply.header("vary"), reply.header("cache-control")), (Some("Accept"), Some("no-cache")));
        let etag = reply.header("etag").unwrap();
        let known = server.send("GET", target, &format!("Accept: text/html\r\nIf-None-Match: {etag}\r\n"), "");
        assert_eq!(known.status, 304);
    }
    assert_eq!(page(&server, "/letters.txt").text(), "abcdefghijklmnopqrstuvwxyz");
    // A picture, what a script fetches, and what is no reading.
    assert_eq!(page(&server, "/users/5.png").status, 404);
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n", "Accept: text/html;q=0\r\n"] {
        assert_eq!(server.send("GET", "/users/5", accept, "").status, 404, "{accept}");
    }
    assert_eq!(server.send("POST", "/users/5", "Accept: text/html\r\n", "").status, 405);
    assert_eq!(page(&server, "/.git/config").status, 404);
    assert_eq!(page(&server, "/..%2fsecret").status, 403);
    let head = server.send("HEAD", "/users/5", "Accept: text/html\r\n", "");
    assert_eq!((head.status, head.header("content-length")), (200, Some("19")));
}

#[test]
fn a_fallback_that_is_missing_is_404() {
    let site = Site::new();
    let server = server(&site, |files| files.fallback("missing.html"));
    let reply = page(&server, "/users");
    assert_eq!((reply.status, reply.header("vary")), (404, None));
}
