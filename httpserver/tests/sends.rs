//! How many sends an answer takes.

mod common;

use std::{
    cell::Cell,
    fs::{self, File},
    io,
    rc::Rc,
    task::{Context, Poll},
};

use common::run;
use httpserver::{
    Body, HttpServer, IOLoop, IOStream, Request, Response, Result,
    iostream::{CustomTransport, memory},
    spawn, yield_now,
};

/// A transport that counts what it is given to send.
struct Counting {
    below: IOStream,
    sends: Rc<Cell<usize>>,
}

impl CustomTransport for Counting {
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.below.poll_read_some(cx, buf).map_err(io::Error::from)
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.sends.set(self.sends.get() + 1);
        self.below.poll_write(cx, data).map_err(io::Error::from)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_shutdown(cx).map_err(io::Error::from)
    }
}

/// The answers to requests for these paths, which come together, and in how many sends they have left.
fn sends(service: impl AsyncFn(Request) -> Result<Response> + 'static, paths: &[&str]) -> (String, usize) {
    run(async {
        let (below, client) = memory::pair(1 << 20);
        // The server ends its side when the client has.
        below.set_half_open(true);
        client.set_half_open(true);
        let sends = Rc::new(Cell::new(0));
        let stream = IOStream::from_custom(Counting { below, sends: Rc::clone(&sends) });
        let server = HttpServer::new(service);
        IOLoop::current().spawn_detached(async move { server.serve_stream(stream, None).await });
        let requests: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.write(requests).await.unwrap();
        client.shutdown_write().await.unwrap();
        let text = client.read_until_close().await.unwrap();
        (String::from_utf8(text.to_vec()).unwrap(), sends.get())
    })
}

/// Waits for another task, so that it makes no difference how often it is polled.
async fn wait() {
    spawn(yield_now()).await.unwrap();
}

async fn streamed(request: Request) -> Result<Response> {
    Ok(Response::text(Body::writer(async move |mut out| {
        if request.path() == "/waits" {
            wait().await;
        }
        out.write("one ").await?;
        out.write("two").await?;
        if request.path() == "/pauses" {
            wait().await;
            out.write(" three").await?;
        }
        Ok(())
    })))
}

#[test]
fn a_streamed_answer_that_is_ready_leaves_with_its_head() {
    let (text, count) = sends(streamed, &["/"]);
    assert!(text.ends_with("\r\n\r\n7\r\none two\r\n0\r\n\r\n"), "{text}");
    assert_eq!(count, 1);
}

#[test]
fn several_of_them_leave_together() {
    let (text, count) = sends(streamed, &["/", "/", "/"]);
    assert_eq!((text.matches("one two").count(), count), (3, 1));
}

#[test]
fn what_has_to_be_waited_for_keeps_nothing_back() {
    for (path, expected) in [("/waits", 2), ("/pauses", 2)] {
        let (text, count) = sends(streamed, &[path]);
        assert!(text.contains("one two") && text.ends_with("0\r\n\r\n"), "{text}");
        assert_eq!(count, expected, "{path}");
    }
}

#[test]
fn a_small_file_leaves_with_its_head() {
    let path = std::env::temp_dir().join(format!("sends-{}", std::process::id()));
    fs::write(&path, "0123456789".repeat(100)).unwrap();
    let file = Rc::new(File::open(&path).unwrap());
    fs::remove_file(path).unwrap();
    let (text, count) = sends(async move |_: Request| Ok(Response::text(Body::file(Rc::clone(&file), ..)?)), &["/"]);
    assert!(text.ends_with(&format!("\r\n\r\n{}", "0123456789".repeat(100))), "{text}");
    assert_eq!(count, 1);
}
