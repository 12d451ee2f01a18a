//! Files that were compressed beforehand.

mod util;

use std::{
    fs,
    time::{Duration, UNIX_EPOCH},
};

use util::{
    Reply, Server, serve,
    site::{MODIFIED, Site},
};
use web::{Application, StaticFiles};

/// `app.js` in four codings, each with content that tells it from the others.
fn site() -> Site {
    let site = Site::new();
    site.write("app.js", "plain text of the script");
    for (name, content) in [("app.js.br", "brotli"), ("app.js.zst", "zstandard"), ("app.js.gz", "gzip of it")] {
        site.write(name, content);
    }
    site
}

fn server(site: &Site) -> Server {
    let root = site.root();
    serve(move || {
        let files = StaticFiles::new(root).unwrap().index("index.html").precompressed(true).cache_control("max-age=60");
        Application::new().static_handler("/", files)
    })
}

fn get(server: &Server, target: &str, headers: &str) -> Reply {
    server.send("GET", target, headers, "")
}

#[test]
fn the_best_that_the_client_accepts_is_sent() {
    let site = site();
    let server = server(&site);
    for (accepted, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("gzip, zstd", Some("zstd"), "zstandard"),
        ("gzip", Some("gzip"), "gzip of it"),
        ("br;q=0.1, gzip;q=0.2", Some("gzip"), "gzip of it"),
        ("br;q=0, *;q=0.5", Some("zstd"), "zstandard"),
        ("identity, br;q=0.9", None, "plain text of the script"),
        ("deflate", None, "plain text of the script"),
        ("", None, "plain text of the script"),
    ] {
        let reply = get(&server, "/app.js", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!((reply.status, reply.header("content-encoding"), reply.text()), (200, coding, body), "{accepted}");
        assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(reply.header("content-type").unwrap().ends_with("javascript; charset=utf-8"));
        assert_eq!(
            (reply.header("vary"), reply.header("cache-control")),
            (Some("Accept-Encoding"), Some("max-age=60"))
        );
    }
    assert_eq!(get(&server, "/app.js", "").header("content-encoding"), None);
    // By its own name it is a file like any other.
    let reply = get(&server, "/app.js.gz", "Accept-Encoding: gzip\r\n");
    assert_eq!((reply.header("content-encoding"), reply.header("content-type")), (None, Some("application/gzip")));
}

#[test]
fn each_coding_has_a_tag_of_its_own() {
    let site = site();
    let server = server(&site);
    let accept = |coding: &str| format!("Accept-Encoding: {coding}\r\n");
    let tags: Vec<String> = ["br", "zstd", "gzip", "identity"]
        .map(|coding| get(&server, "/app.js", &accept(coding)).header("etag").unwrap().to_owned())
        .into();
    for (at, tag) in tags.iter().enumerate() {
        assert!(!tag.starts_with("W/") && !tags[..at].contains(tag), "{tags:?}");
    }
    let known = |coding, tag: &str| get(&server, "/app.js", &format!("{}If-None-Match: {tag}\r\n", accept(coding)));
    let reply = known("br", &tags[0]);
    assert_eq!(
        (reply.status, reply.header("vary"), reply.header("etag")),
        (304, Some("Accept-Encoding"), Some(&*tags[0]))
    );
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(known("gzip", &tags[0]).status, 200);
    assert_eq!(known("identity", &tags[0]).status, 200);
    let head = server.send("HEAD", "/app.js", &accept("br"), "");
    assert_eq!((head.header("content-length"), head.header("content-encoding")), (Some("6"), Some("br")));
    assert_eq!(head.header("etag"), Some(&*tags[0]));
}

#[test]
fn ranges_are_those_of_the_compressed_bytes() {
    let site = site();
    site.write("large.js", "x");
    site.write("large.js.gz", "0123456789".repeat(100));
    let server = server(&site);
    let gzip = "Accept-Encoding: gzip\r\n";
    let etag = get(&server, "/large.js", gzip).header("etag").unwrap().to_owned();
    let reply = get(&server, "/large.js", &format!("{gzip}Range: bytes=995-\r\nIf-Range: {etag}\r\n"));
    assert_eq!((reply.status, reply.text(), reply.header("content-range")), (206, "56789", Some("bytes 995-999/1000")));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    // Of what the client has no part: its tag is that of another coding.
    let reply = get(&server, "/large.js", &format!("Range: bytes=0-0\r\nIf-Range: {etag}\r\n"));
    assert_eq!((reply.status, reply.text(), reply.header("content-encoding")), (200, "x", None));
    let reply = get(&server, "/large.js", &format!("{gzip}Range: bytes=0-9,500-509\r\n"));
    assert_eq!((reply.status, reply.body.len(), reply.header("content-encoding")), (200, 1000, Some("gzip")));
    let reply = get(&server, "/large.js", &format!("{gzip}Range: bytes=1000-\r\n"));
    assert_eq!(
        (reply.status, reply.header("content-range"), reply.header("vary")),
        (416, Some("bytes */1000"), Some("Accept-Encoding"))
    );
}

#[test]
fn a_sibling_from_before_the_last_change_is_not_used() {
    let site = site();
    let path = site.root().join("app.js");
    let touch = |millis: u64| {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_millis(1_000_000_000_500 + millis)).unwrap();
    };
    let server = server(&site);
    let br = "Accept-Encoding: br, gzip\r\n";
    assert_eq!(get(&server, "/app.js", br).header("last-modified"), Some(MODIFIED));
    touch(1);
    let reply = get(&server, "/app.js", br);
    assert_eq!((reply.text(), reply.header("content-encoding")), ("plain text of the script", None));
    touch(0);
    assert_eq!(get(&server, "/app.js", br).header("content-encoding"), Some("br"));
    fs::remove_file(site.root().join("app.js.br")).unwrap();
    assert_eq!(get(&server, "/app.js", br).header("content-encoding"), Some("gzip"));
}

#[test]
fn what_is_no_sibling_is_not_sent() {
    let site = site();
    site.write("only.js.br", "brotli");
    fs::create_dir(site.root().join("letters.txt.br")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", site.root().join("letters.txt.gz")).unwrap();
    site.write("sub/index.html.gz", "gzip");
    let server = server(&site);
    let all = "Accept-Encoding: br, gzip\r\n";
    assert_eq!(get(&server, "/only.js", all).status, 404);
    assert_eq!(get(&server, "/letters.txt", all).text(), "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(get(&server, "/sub/", all).header("content-encoding"), Some("gzip"));
    assert_eq!(get(&server, "/sub/", all).header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn siblings_are_sent_only_where_that_was_asked_for() {
    let site = site();
    let reply = site.serve().send("GET", "/static/app.js", "Accept-Encoding: br\r\n", "");
    assert_eq!((reply.text(), reply.header("vary")), ("plain text of the script", None));
}

#[test]
fn compression_leaves_them_alone() {
    let site = site();
    site.write("app.js.gz", "gzip of it ".repeat(1000));
    fs::remove_file(site.root().join("app.js.br")).unwrap();
    let root = site.root();
    let server = serve(move || {
        let files = StaticFiles::new(root).unwrap().precompressed(true);
        Application::new().static_handler("/", files).wrap(web::Compress::new())
    });
    let reply = get(&server, "/app.js", "Accept-Encoding: gzip\r\n");
    assert_eq!((reply.headers("content-encoding"), reply.headers("vary")), (vec!["gzip"], vec!["Accept-Encoding"]));
    assert_eq!(reply.body.len(), 11_000);
}
