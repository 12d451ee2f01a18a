//! What attackers have tried with the answers of other frameworks: splitting them, and sending clients elsewhere.

mod util;

use util::{Server, serve, site::Site};
use web::{Application, Error, Exchange, StaticFiles, StatusCode};

/// Text with which a client ends a header line and begins its own.
const SPLITS: [&str; 6] =
    ["a\r\nSet-Cookie: x=1", "a\nSet-Cookie: x=1", "a\rSet-Cookie: x=1", "a\0b", "a\r\n\r\n<script>", "\u{85}\r\n a"];

/// CVE-2012-2374, GHSA-w235-7p84-xx57: line breaks in header values. Whatever a handler does with what it was sent, nothing of it
/// becomes a line of its own.
#[test]
fn text_of_clients_never_becomes_a_header_line() {
    let attempts: [fn(&mut Exchange, &str) -> web::Result<()>; 8] = [
        |exchange, text| exchange.set_header("X-Note", text),
        |exchange, text| exchange.append_header("X-Note", text),
        |exchange, text| exchange.set_header(text, "note"),
        |exchange, text| exchange.redirect(text),
        |exchange, text| exchange.see_other(text),
        |exchange, text| exchange.set_trailer("X-Note", text),
        |exchange, text| exchange.early_hints([text]),
        |exchange, text| exchange.attachment(text),
    ];
    for (number, attempt) in attempts.into_iter().enumerate() {
        for text in SPLITS {
            let server = serve(move || {
                Application::new().get("/", async move |exchange: &mut Exchange| attempt(exchange, text))
            });
            let mut client = server.connect();
            client.request("GET", "/", "Connection: close\r\n", "");
            let answer = String::from_utf8(client.rest()).unwrap();
            // The name of a download is sent with the breaks replaced; everything else is refused.
            let status = if number == 7 { "HTTP/1.1 200 " } else { "HTTP/1.1 500 " };
            assert!(answer.starts_with(status), "{number} {text:?}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let clean = |line: &str| !line.starts_with("Set-Cookie") && !line.contains(['\r', '\n', '\0']);
            assert!(head.split("\r\n").all(clean), "{number} {text:?}: {answer}");
            assert!(!body.contains("<script>"), "{number} {text:?}: {answer}");
        }
    }
}

/// CVE-2025-67724: markup in the reason of a status.
#[test]
fn messages_of_errors_are_text_in_their_pages() {
    let server = serve(|| {
        Application::new().get("/", async |_: &mut Exchange| {
            Err(Error::http(StatusCode::BAD_REQUEST, "<script>alert(1)</script>\r\nSet-Cookie: x=1"))
        })
    });
    let reply = server.get("/");
    assert_eq!((reply.status, reply.header("set-cookie")), (400, None));
    assert!(reply.head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply:?}");
    assert!(!reply.text().contains("<script>") && reply.text().contains("&lt;script&gt;"), "{reply:?}");
}

fn root(site: &Site, set: fn(StaticFiles) -> StaticFiles) -> Server {
    let root = site.root();
    serve(move || Application::new().static_handler("/", set(StaticFiles::new(root).unwrap())))
}

/// CVE-2023-28370, GHSA-5cjw-f85j-cv6r: the redirect that adds a slash led to the host in the path.
#[test]
fn no_path_leads_a_browser_to_another_host() {
    let site = Site::new();
    std::fs::create_dir_all(site.root().join("evil.example/sub")).unwrap();
    let servers = [
        root(&site, |files| files.index("index.html")),
        root(&site, |files| files.list_directories(true)),
        root(&site, |files| files.index("index.html").fallback("sub/index.html")),
    ];
    for server in &servers {
        for target in [
            "//evil.example",
            "///evil.example",
            "////evil.example/sub",
            "/\\evil.example",
            "/%5cevil.example",
            "//evil.example/..%2fsub",
            "//evil.example/%2e%2e/sub",
            "/.//evil.example",
            "/%2fevil.example",
            "/evil.example%2f..%2f..%2fsub",
            "/evil.example?x=//evil.example",
            "/evil.example",
        ] {
            let reply = server.send("GET", target, "Accept: text/html\r\n", "");
            let Some(location) = reply.header("location") else { continue };
            let host = location.strip_prefix('/').expect("a path");
            assert!(!host.starts_with(['/', '\\', '\t']) && !location.contains('\\'), "{target}: {location}");
        }
    }
    let location = servers[0].get("/evil.example?x=//evil.example").header("location").map(str::to_owned);
    assert_eq!(location.as_deref(), Some("/evil.example/?x=//evil.example"));
}

/// The traversals of Tornado's own tests, of 4.2.1 (a directory whose name begins like the root's) and of symbolic links
/// (GHSA-c2m8-h5v5-343r), by every way on which a path gets to a file.
#[test]
fn no_path_leads_out_of_the_directory() {
    let site = Site::new();
    std::os::unix::fs::symlink("../secret.txt", site.root().join("link.txt")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", site.root().join("letters.txt.br")).unwrap();
    std::os::unix::fs::symlink("../site_evil", site.root().join("evil")).unwrap();
    let servers = [
        root(&site, |files| files.serve_dot_files(true)),
        root(&site, |files| files.precompressed(true).list_directories(true)),
        root(&site, |files| files.fallback("link.txt").index("../../secret.txt")),
        root(&site, |mut files| {
            let _urls = files.urls("/");
            files
        }),
    ];
    for server in &servers {
        for target in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/%2e%2e%2fsecret.txt",
            "/sub/../../secret.txt",
            "/..%5csecret.txt",
            "/../site_evil/x.txt",
            "/link.txt",
            "/link.txt?v=1",
            "/evil/x.txt",
            "/evil/",
            "//etc/passwd",
            "/%2fetc%2fpasswd",
            "/letters.txt%00.html",
            "/sub/",
            "/nothing",
            "/letters.txt",
        ] {
            let headers = "Accept: text/html\r\nAccept-Encoding: br\r\n";
            let reply = server.send("GET", target, headers, "");
            let body = String::from_utf8_lossy(&reply.body);
            assert!(!body.contains("secret") || body.contains("<h1>"), "{target}: {body}");
            assert!(!body.contains("root:"), "{target}: {body}");
            if reply.status == 200 {
                let inside = ["/sub/", "/letters.txt"].contains(&target);
                assert!(inside, "{target}: {body}");
            }
        }
    }
}
