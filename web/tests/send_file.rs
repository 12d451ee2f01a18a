//! Files that handlers answer with.

mod util;

use std::{
    fs::{self, File},
    path::PathBuf,
};

use util::{
    Server, serve,
    site::{MODIFIED, Site},
};
use web::{Application, Exchange, NamedFile, StatusCode};

/// Serves what a handler makes of the site's directory.
fn serve_with(
    site: &Site,
    handler: impl AsyncFn(&mut Exchange, PathBuf) -> web::Result<()> + Clone + 'static,
) -> Server {
    let root = site.root();
    serve(move || {
        Application::new().get("/{name}", async move |exchange: &mut Exchange| {
            let name: String = exchange.path("name")?;
            handler(exchange, root.join(name)).await
        })
    })
}

fn send(site: &Site) -> Server {
    serve_with(site, async |exchange: &mut Exchange, path| exchange.send_file(path))
}

#[test]
fn a_file_has_type_length_and_validators() {
    let site = Site::new();
    let server = send(&site);
    let reply = server.get("/letters.txt");
    assert_eq!((reply.status, reply.text()), (200, "abcdefghijklmnopqrstuvwxyz"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("last-modified"), Some(MODIFIED));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(reply.header("content-disposition"), None);
    let head = server.send("HEAD", "/letters.txt", "", "");
    assert_eq!((head.header("content-length"), head.body.len()), (Some("26"), 0));
    assert_eq!(head.header("etag"), reply.header("etag"));
}

#[test]
fn conditions_and_ranges_are_those_of_static_files() {
    let site = Site::new();
    site.write("data.bin", vec![7; 200_000]);
    let server = send(&site);
    let with = |headers: &str| server.send("GET", "/letters.txt", headers, "");
    let etag = server.get("/letters.txt").header("etag").unwrap().to_owned();
    let known = with(&format!("If-None-Match: {etag}\r\n"));
    assert_eq!((known.status, known.body.len(), known.header("content-type")), (304, 0, None));
    assert_eq!(with("If-Match: \"x\"\r\n").status, 412);
    let range = with(&format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n"));
    assert_eq!((range.status, range.text(), range.header("content-range")), (206, "bc", Some("bytes 1-2/26")));
    assert_eq!(with("Range: bytes=1-2\r\nIf-Range: \"x\"\r\n").status, 200);
    let beyond = with("Range: bytes=26-\r\n");
    assert_eq!((beyond.status, beyond.header("content-range"), beyond.body.len()), (416, Some("bytes */26"), 0));
    let several = server.send("GET", "/data.bin", "Range: bytes=0-9,1000-1009\r\n", "");
    assert_eq!(several.status, 206);
    assert!(several.header("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
    assert_eq!(server.get("/data.bin").body, vec![7; 200_000]);
}

#[test]
fn what_cannot_be_sent_is_404_or_403() {
    let site = Site::new();
    nix::unistd::mkfifo(&site.root().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.root().join("socket")).unwrap();
    let server = send(&site);
    for (name, status) in [("missing", 404), ("letters.txt%2Fx", 404), ("pipe", 403), ("socket", 403), ("sub", 403)] {
        let reply = server.get(&format!("/{name}"));
        assert_eq!(reply.status, status, "{name}");
        assert!(reply.header("etag").is_none() && reply.header("content-disposition").is_none());
    }
    assert_eq!(server.get(&format!("/{}", "x".repeat(300))).status, 404);
}

#[test]
fn names_for_clients_are_any_text() {
    let site = Site::new();
    for (name, value) in [
        ("report.txt", "attachment; filename=\"report.txt\""),
        ("naïve file.txt", "attachment; filename=\"na_ve file.txt\"; filename*=UTF-8''na%C3%AFve%20file.txt"),
        (
            "a\r\nSet-Cookie: x=\"1\"",
            "attachment; filename=\"a__Set-Cookie: x=_1_\"; \
            filename*=UTF-8''a__Set-Cookie%3A%20x%3D%221%22",
        ),
    ] {
        let server = serve_with(&site, async move |exchange: &mut Exchange, path| {
            exchange.send_file(NamedFile::open(path)?.attachment(name))
        });
        let reply = server.get("/letters.txt");
        assert_eq!((reply.status, reply.header("content-disposition")), (200, Some(value)));
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[test]
fn a_handler_says_what_it_knows_better() {
    let site = Site::new();
    let server = serve_with(&site, async |exchange: &mut Exchange, path| {
        exchange.write("dropped");
        exchange.set_header("Cache-Control", "no-store")?;
        let file = NamedFile::from_file(File::open(path)?, "table.csv")?;
        exchange.send_file(file.inline("table.csv").content_type("text/csv; header=present"))
    });
    let reply = server.get("/letters.txt");
    assert_eq!((reply.status, reply.text()), (200, "abcdefghijklmnopqrstuvwxyz"));
    assert_eq!(reply.header("content-type"), Some("text/csv; header=present"));
    assert_eq!(reply.header("content-disposition"), Some("inline; filename=\"table.csv\""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[test]
fn a_page_of_an_error_has_neither_conditions_nor_ranges() {
    let site = Site::new();
    let server = serve_with(&site, async |exchange: &mut Exchange, path| {
        exchange.set_status(StatusCode::NOT_FOUND);
        exchange.send_file(path)
    });
    let reply = server.send("GET", "/letters.txt", "If-None-Match: *\r\nRange: bytes=0-1\r\n", "");
    assert_eq!((reply.status, reply.body.len()), (404, 26));
    assert_eq!((reply.header("etag"), reply.header("accept-ranges")), (None, None));
}

#[test]
fn an_answer_is_given_once() {
    let site = Site::new();
    let server = serve_with(&site, async |exchange: &mut Exchange, path| {
        exchange.send_file(&path)?;
        let text = exchange.send_file(File::open(path)?).unwrap_err().to_string();
        assert!(text.contains("finished"), "{text}");
        Ok(())
    });
    assert_eq!(server.get("/letters.txt").body.len(), 26);
}

#[test]
fn the_file_that_was_opened_is_sent_whatever_becomes_of_its_name() {
    let site = Site::new();
    let server = serve_with(&site, async |exchange: &mut Exchange, path: PathBuf| {
        let file = NamedFile::open(&path)?;
        fs::remove_file(path)?;
        exchange.send_file(file)
    });
    assert_eq!(server.get("/letters.txt").body.len(), 26);
    assert_eq!(server.get("/letters.txt").status, 404);
}
