//! Calls of an application without a socket.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use web::{
    Application, Bytes, IOLoop, Method, Request, Response,
    httpserver::{Body, BodyStream, Error, Frame, RequestBuilder, Result, Service},
};

/// What an application answered, with the body as far as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Result<Bytes>,
    response: Response,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.header(name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("a whole body")).expect("text")
    }
}

/// An application that is asked in this process, in the same words as a [`Server`](super::Server).
pub struct Local(pub Application);

impl Local {
    pub fn get(&self, target: &str) -> Answer {
        get(&self.0, target)
    }

    /// `headers` are whole lines, each with its CRLF.
    pub fn send(&self, method: &str, target: &str, headers: &str, body: &'static str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = Request::builder().method(method).target(target).body(body);
        let lines = headers.lines().map(|line| line.split_once(": ").expect("a header line"));
        send(&self.0, lines.fold(request, |request, (name, value)| request.header(name, value)))
    }
}

pub fn get(application: &Application, target: &str) -> Answer {
    send(application, Request::builder().target(target))
}

pub fn ask(application: &Application, method: Method, target: &str) -> Answer {
    send(application, Request::builder().method(method).target(target))
}

pub fn send(application: &Application, request: RequestBuilder) -> Answer {
    let request = request.build().expect("a request that can be sent");
    IOLoop::current().run_sync(async {
        let without_body = *request.method() == Method::HEAD;
        let mut response = application.call(request).await;
        // As a connection does, which asks for no body here.
        let mut body = if without_body { Body::empty() } else { response.take_body() };
        Answer { status: response.status().as_u16(), body: body.bytes(16 * 1024 * 1024).await, response }
    })
}

/// Marks a response, and has `count` told how many bytes its body has: what a wrap can do to any answer.
pub fn mark_and_count(response: &mut Response, count: impl Fn(usize) + 'static) {
    response.set_header("X-Wrapped", "yes").expect("a valid line");
    let size = response.body().content_length();
    let body = response.take_body();
    response.set_body(Body::stream(Counted { body, size, count: Box::new(count) }));
}

struct Counted {
    body: Body,
    size: Option<u64>,
    count: Box<dyn Fn(usize)>,
}

impl BodyStream for Counted {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let frame = ready!(self.body.poll_frame(cx));
        if let Some(Ok(Frame::Data(data))) = &frame {
            (self.count)(data.len());
        }
        Poll::Ready(frame)
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        self.body.receiver_gone(error)
    }

    fn exact_size(&self) -> Option<u64> {
        self.size
    }
}
