//! Wraps see and may change every answer, head and body, whatever its kind.

mod util;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use util::{Reply, Server, in_process::mark_and_count, serve, serve_on};
use web::{Application, Exchange, HttpServer, Next, Request, Response, httpserver::Service};

/// More than the 64 KiB up to which a file is sent in one piece.
const LARGE: usize = 100_000;

/// A directory with a small and a large file, removed in the end.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let site = Site(std::env::temp_dir().join(format!("waterspout-wraps-{}-{name}", std::process::id())));
        fs::create_dir_all(&site.0).unwrap();
        fs::write(site.0.join("small.txt"), "small").unwrap();
        fs::write(site.0.join("large.bin"), vec![b'l'; LARGE]).unwrap();
        site
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bytes of bodies, counted on the server's thread.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn mark(&self, response: &mut Response) {
        let count = self.0.clone();
        mark_and_count(response, move |more| {
            count.fetch_add(more, Ordering::Relaxed);
        });
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

async fn short(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("short");
    Ok(())
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    for piece in ["in ", "three ", "pieces"] {
        exchange.write(piece);
        exchange.flush().await?;
    }
    Ok(())
}

fn application(root: &Path) -> Application {
    Application::new()
        .get("/short", short)
        .get("/streamed", streamed)
        .get("/fails", async |_: &mut Exchange| Err(std::io::Error::other("on purpose").into()))
        .get("/panics", async |_: &mut Exchange| panic!("on purpose"))
        .static_files("/static", root)
        .unwrap()
}

/// Asks for every kind of answer, and compares what was counted with what came.
fn check(server: &Server, count: &Count) {
    let page = |status: &str| format!("<html><title>{status}</title><body>{status}</body></html>");
    for (method, target, status, body) in [
        ("GET", "/short", 200, "short".to_owned()),
        ("GET", "/streamed", 200, "in three pieces".to_owned()),
        ("GET", "/static/small.txt", 200, "small".to_owned()),
        ("GET", "/static/large.bin", 200, "l".repeat(LARGE)),
        ("GET", "/unknown", 404, page("404: Not Found")),
        ("PUT", "/short", 405, page("405: Method Not Allowed")),
        ("GET", "/fails", 500, page("500: Internal Server Error")),
        ("GET", "/panics", 500, page("500: Internal Server Error")),
        ("CONNECT", "a:1", 501, page("501: Not Implemented")),
        ("OPTIONS", "/short", 204, String::new()),
        ("OPTIONS", "*", 204, String::new()),
        ("HEAD", "/short", 200, String::new()),
        ("HEAD", "/streamed", 200, String::new()),
        ("HEAD", "/static/small.txt", 200, String::new()),
        ("HEAD", "/static/large.bin", 200, String::new()),
        ("HEAD", "/unknown", 404, String::new()),
    ] {
        let reply = send(server, method, target);
        assert_eq!((reply.status, reply.header("x-wrapped")), (status, Some("yes")), "{method} {target}");
        assert!(reply.text() == body, "{method} {target}");
        assert_eq!(count.take(), body.len(), "{method} {target}");
    }
}

fn send(server: &Server, method: &str, target: &str) -> Reply {
    let mut client = server.connect();
    // CONNECT has to name the host that it wants a tunnel to.
    let host = if method == "CONNECT" { target } else { "test" };
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.reply_to(method)
}

#[test]
fn a_wrap_of_the_application_changes_the_head_and_counts_the_bytes_of_every_answer() {
    let (site, count) = (Site::new("application"), Count::default());
    let (root, counting) = (site.0.clone(), count.clone());
    let server = serve(move || {
        application(&root).wrap(async move |exchange: &mut Exchange, next: Next<'_>| {
            let count = counting.clone();
            exchange.on_response(move |response| count.mark(response));
            next.run(exchange).await
        })
    });
    check(&server, &count);
}

#[test]
fn a_service_around_the_application_does_too() {
    struct Around(Application, Count);

    impl Service for Around {
        async fn call(&self, request: Request) -> Response {
            let mut response = self.0.call(request).await;
            self.1.mark(&mut response);
            response
        }
    }

    let (site, count) = (Site::new("service"), Count::default());
    let (root, counting) = (site.0.clone(), count.clone());
    let server = serve_on(move || HttpServer::new(Around(application(&root), counting)));
    check(&server, &count);
}

#[test]
fn the_head_of_a_wrapped_answer_announces_what_get_has() {
    let site = Site::new("head");
    let root = site.0.clone();
    let server = serve(move || {
        application(&root).wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            exchange.on_response(|response| mark_and_count(response, drop));
            next.run(exchange).await
        })
    });
    for target in ["/short", "/streamed", "/static/small.txt", "/static/large.bin", "/unknown"] {
        let (get, head) = (server.get(target), server.send("HEAD", target, "", ""));
        for name in ["content-length", "content-type"] {
            assert_eq!(get.header(name), head.header(name), "{name} of {target}");
        }
    }
}
