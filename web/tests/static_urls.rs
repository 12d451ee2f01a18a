//! URLs of static files with the version of their content.

mod util;

use std::{
    fs,
    time::{Duration, SystemTime},
};

use util::{Reply, Server, serve, site::Site};
use web::{Application, Exchange, IOLoop, StaticFiles, StaticUrls};

/// SHA-1 of the alphabet in small letters.
const LETTERS: &str = "/static/letters.txt?v=32d10c7b8cf96570ca04";

fn files(site: &Site) -> (StaticFiles, StaticUrls) {
    let mut files = StaticFiles::new(site.root()).unwrap().cache_control("max-age=60");
    let urls = files.urls("/static/");
    (files, urls)
}

fn server(files: StaticFiles) -> Server {
    serve(move || Application::new().static_handler("/static", files))
}

fn caching(reply: &Reply) -> Option<&str> {
    assert_eq!(reply.status, 200);
    reply.header("cache-control")
}

const IMMUTABLE: Option<&str> = Some("public, max-age=31536000, immutable");
const USUAL: Option<&str> = Some("max-age=60");

#[test]
fn the_version_is_that_of_the_content() {
    let site = Site::new();
    let (_, urls) = files(&site);
    assert_eq!(urls.url("letters.txt"), LETTERS);
    assert_eq!(urls.url("letters.txt"), LETTERS);
    site.write("sub/copy.txt", "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(urls.url("sub/copy.txt"), LETTERS.replace("letters", "sub/copy"));
    // Another content, whatever the time says.
    site.write("letters.txt", "zyx");
    let changed = urls.url("letters.txt");
    assert!(changed.starts_with("/static/letters.txt?v=") && changed != LETTERS, "{changed}");
    site.write("a b&c.txt", "x");
    assert!(urls.url("a b&c.txt").starts_with("/static/a%20b%26c.txt?v="));
    let (mut files, _) = files(&site);
    assert!(
        files
            .urls("https://cdn.example.org/s")
            .url("letters.txt")
            .starts_with("https://cdn.example.org/s/letters.txt?v=")
    );
}

#[test]
fn the_current_version_never_changes_and_others_may() {
    let site = Site::new();
    let (files, urls) = files(&site);
    let server = server(files);
    let url = urls.url("letters.txt");
    assert_eq!(caching(&server.get(&url)), IMMUTABLE);
    assert_eq!(caching(&server.get(&url.replace("?v=", "?x=1&v="))), IMMUTABLE);
    assert_eq!(caching(&server.get("/static/letters.txt")), USUAL);
    assert_eq!(caching(&server.get("/static/letters.txt?v=")), USUAL);
    assert_eq!(caching(&server.get(&url[..url.len() - 1])), USUAL);
    let etag = server.get(&url).header("etag").unwrap().to_owned();
    let known = server.send("GET", &url, &format!("If-None-Match: {etag}\r\n"), "");
    assert_eq!((known.status, known.header("cache-control")), (304, IMMUTABLE));
    // The page of yesterday asks for the file of yesterday.
    site.write("letters.txt", "new");
    assert_eq!(caching(&server.get(&url)), USUAL);
    assert_eq!(caching(&server.get(&urls.url("letters.txt"))), IMMUTABLE);
    let missing = server.get("/static/missing.txt?v=1");
    assert_eq!((missing.status, missing.header("cache-control")), (404, None));
}

#[test]
fn versions_mean_nothing_where_none_were_made() {
    let site = Site::new();
    let server = server(StaticFiles::new(site.root()).unwrap());
    assert_eq!(caching(&server.get(LETTERS)), None);
}

/// Tornado's `static_url` told whether a file outside of the directory was there, and of its content (CVE-2026-123534).
#[test]
fn nothing_outside_of_the_directory_is_read() {
    let site = Site::new();
    fs::write(site.root().join(".env"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret.txt", site.root().join("link.txt")).unwrap();
    let (files, urls) = files(&site);
    for path in
        ["../secret.txt", "sub/../../secret.txt", "/etc/passwd", "link.txt", ".env", "missing", "sub", "a\0b", ""]
    {
        let url = urls.url(path);
        assert!(url.starts_with("/static/") && !url.contains("?v="), "{path:?}: {url}");
        let result = IOLoop::current().run_sync(urls.hashed_url(path));
        assert!(matches!(result.unwrap_err().status().as_u16(), 403 | 404), "{path:?}");
    }
    drop(files);
}

#[test]
fn long_files_are_read_elsewhere() {
    let site = Site::new();
    site.write("large.bin", vec![7; 300_000]);
    let (files, urls) = files(&site);
    let (other, again) = (urls.clone(), urls.clone());
    let server = serve(move || {
        let hashed = async move |exchange: &mut Exchange| {
            exchange.write_text(urls.hashed_url("large.bin").await?);
            Ok(())
        };
        let plain = async move |exchange: &mut Exchange| {
            exchange.write_text(other.url("large.bin"));
            Ok(())
        };
        Application::new().static_handler("/static", files).get("/hashed", hashed).get("/plain", plain)
    });
    // Before it is known, the URL is one that works.
    assert_eq!(server.get("/plain").text(), "/static/large.bin");
    let url = server.get("/hashed").text().to_owned();
    assert!(url.starts_with("/static/large.bin?v="), "{url}");
    assert_eq!(server.get("/plain").text(), url);
    assert_eq!(again.url("large.bin"), url);
    assert_eq!(caching(&server.get(&url)), IMMUTABLE);
    // And anew when it has changed.
    site.write("large.bin", vec![8; 300_001]);
    assert_eq!(caching(&server.get(&url)), USUAL);
    assert_ne!(server.get("/hashed").text(), url);
}

#[test]
fn handles_may_go_to_other_threads() {
    let site = Site::new();
    let (_files, urls) = files(&site);
    let elsewhere = urls.clone();
    let url = std::thread::spawn(move || elsewhere.url("letters.txt")).join().unwrap();
    assert_eq!(url, LETTERS);
    let file = fs::File::options().write(true).open(site.root().join("letters.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(urls.url("letters.txt"), LETTERS, "the same content at another time");
}

#[test]
fn the_version_is_that_of_the_original_for_compressed_siblings() {
    let site = Site::new();
    site.write("letters.txt.br", "brotli");
    let (files, urls) = files(&site);
    let server = server(files.precompressed(true));
    let reply = server.send("GET", &urls.url("letters.txt"), "Accept-Encoding: br\r\n", "");
    assert_eq!((reply.text(), caching(&reply)), ("brotli", IMMUTABLE));
}

#[test]
fn templates_make_them() {
    use web::templates::{Templates, context};

    let site = Site::new();
    let (files, urls) = files(&site);
    let page = "<a href=\"{{ static_url('letters.txt') }}\">{{ static_url(missing) }}</a>";
    let templates = Templates::embedded([("page.html", page)]).unwrap().static_urls(&urls);
    let server = serve(move || {
        Application::new()
            .static_handler("/static", files)
            .templates(templates)
            .get("/", async |exchange: &mut Exchange| exchange.render("page.html", context! { missing => "../<b>" }))
    });
    assert_eq!(server.get("/").text(), format!("<a href=\"{LETTERS}\">/static/../%3Cb%3E</a>"));
}

#[test]
fn handlers_find_them_in_the_state() {
    async fn page(exchange: &mut Exchange) -> web::Result<()> {
        let url = exchange.static_url("letters.txt")?;
        exchange.write_text(url);
        Ok(())
    }

    let site = Site::new();
    let (_files, urls) = files(&site);
    let server = serve(move || Application::new().state(urls).get("/", page));
    assert_eq!(server.get("/").text(), LETTERS);
    let server = serve(|| Application::new().get("/", page));
    assert_eq!(server.get("/").status, 500);
}
