//! What a compressed response holds while it is sent. Alone in its test binary, because of its allocator.

#[path = "util/allocations.rs"]
mod allocations;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use web::{
    Application, Bytes, Compress, Exchange, IOLoop, Request,
    httpserver::{Body, BodyStream, Frame, Result, Service},
};

use allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PIECE: usize = 32 * 1024;

/// So many pieces of 32 KiB, one per poll.
struct Pieces {
    left: usize,
    piece: Bytes,
}

impl BodyStream for Pieces {
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(self.piece.clone().into())))
    }
}

/// Text that is a little different everywhere.
fn text(length: usize) -> Bytes {
    let words = ["lorem ", "ipsum ", "dolor ", "sit ", "amet ", "<p>", "42", "\n"];
    let mut text = Vec::new();
    let mut seed = 1_u64;
    while text.len() < length {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        text.extend_from_slice(words[(seed >> 61) as usize].as_bytes());
    }
    text.truncate(length);
    text.into()
}

fn body_of(application: &Application) -> Body {
    let request = Request::builder().target("/").header("Accept-Encoding", "gzip").build().unwrap();
    let mut response = IOLoop::current().run_sync(async { application.call(request).await });
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    response.take_body()
}

/// Reads a body to its end. What is held for it at most, and what is held of it in the end.
fn drain(mut body: Body, before: isize) -> (isize, usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut most, mut length) = (0, 0);
    loop {
        match body.poll_chunk(&mut cx) {
            Poll::Ready(Ok(Some(piece))) => length += piece.len(),
            Poll::Ready(Ok(None)) => return (most, length),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {}
        }
        most = most.max(allocations::held() - before);
    }
}

#[test]
fn a_stream_holds_what_is_stated_however_long_it_is() {
    let piece = text(PIECE);
    let application = Application::new()
        .get("/", async move |exchange: &mut Exchange| {
            exchange.finish_with(Body::stream(Pieces { left: 40, piece: piece.clone() }))
        })
        .wrap(Compress::new());
    drain(body_of(&application), 0);
    // Four at once, of which the first has the compressor that waited.
    let before = allocations::held();
    let held: Vec<Body> = (0..4)
        .map(|_| {
            let mut body = body_of(&application);
            let mut cx = Context::from_waker(Waker::noop());
            while body.poll_chunk(&mut cx).is_pending() {}
            body
        })
        .collect();
    let each = (allocations::held() - before) / 3;
    assert!((300..400).contains(&(each / 1024)), "{each} bytes each");
    drop(held);
    let before = allocations::held();
    let (most, length) = drain(body_of(&application), before);
    assert!(length > 100_000 && most < 100 * 1024, "{most} bytes beside the compressor that waited");
}
