//! A server on this thread's loop, and clients beside it that send bytes as they are told.

// Each test binary uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod certs;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use httpserver::{
    HttpServer, IOLoop, IOStream, Limits, Method, Request, Response, Result, ServerHandle, Service,
    codec::{BodyFraming, ResponseFraming, parse_response_head},
    iostream::{ioloop::VirtualClock, memory},
    spawn, yield_now,
};

/// Far above what any test needs: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `future` on this thread's loop.
pub fn run<F: Future>(future: F) -> F::Output {
    IOLoop::current().try_run_sync(Some(PATIENCE), future).expect("a test is not to hang")
}

/// Serves on a port of its own.
pub fn serve(service: impl Service) -> SocketAddr {
    serve_with(Limits::default(), service)
}

/// [`serve`] with limits.
pub fn serve_with(limits: Limits, service: impl Service) -> SocketAddr {
    HttpServer::with_limits(service, limits).listen(("127.0.0.1", 0)).unwrap().local_addr()
}

/// A client at the other end of a pair in memory that `service` serves.
pub fn serve_pair(capacity: usize, service: impl Service) -> (Client, ServerHandle) {
    serve_pair_with(capacity, Limits::default(), service)
}

/// [`serve_pair`] with limits.
pub fn serve_pair_with(capacity: usize, limits: Limits, service: impl Service) -> (Client, ServerHandle) {
    let server = HttpServer::with_limits(service, limits);
    let (end, stream) = memory::pair(capacity);
    let handle = server.handle();
    let peer: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let _detached = spawn(async move { server.serve_stream(end, Some(peer)).await });
    stream.set_half_open(true);
    (Client { stream }, handle)
}

/// Sends `bytes` and gives everything that comes until the server closes.
pub async fn exchange(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let client = Client::connect(addr).await;
    client.send(bytes).await;
    client.rest().await
}

/// What would be answered 200 if it were found behind a message that is to be refused.
pub const SMUGGLED: &str = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";

/// Asserts that `input` gets this one answer and the end of the connection, also behind an earlier request.
pub async fn expect_refusal(limits: Limits, input: &[u8], expected: u16) {
    let addr = serve_with(limits, async |mut request: Request| -> Result<Response> {
        assert_ne!(request.path(), "/evil", "a request was smuggled in");
        Ok(Response::bytes(request.bytes().await?))
    });
    let shown = String::from_utf8_lossy(&input[..input.len().min(200)]).into_owned();
    let answer = exchange(addr, input).await;
    assert_eq!(status(&answer), expected, "{shown:?}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{shown:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?}");

    let client = Client::connect(addr).await;
    client.send([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", input].concat()).await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(status(&client.rest().await), expected, "{shown:?} behind another request");
}

/// [`expect_refusal`] of each input, with the default limits.
pub fn expect_refusals<I: AsRef<[u8]>>(expected: u16, inputs: impl IntoIterator<Item = I>) {
    run(async {
        for input in inputs {
            expect_refusal(Limits::default(), input.as_ref(), expected).await;
        }
    });
}

/// One connection of a client.
pub struct Client {
    pub stream: IOStream,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Client {
        let stream = IOStream::connect(addr).await.unwrap();
        // So that the client can go on sending behind the server's FIN.
        stream.set_half_open(true);
        stream.set_nodelay(true).unwrap();
        stream.set_max_buffer_size(64 * 1024 * 1024);
        Client { stream }
    }

    /// Sends; that the server has closed meanwhile is no failure of a client.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write(bytes.as_ref()).await;
    }

    /// Ends the client's side.
    pub async fn end(&self) {
        self.stream.shutdown_write().await.unwrap();
    }

    /// The next answer, its body framed by Content-Length or chunks.
    pub async fn answer(&self) -> Answer {
        let head = self.head().await;
        let mut answer = Answer { head, body: Vec::new() };
        // The parser of a client, which is as strict as the server's.
        let parsed = parse_response_head(answer.head.as_bytes(), &Limits::default(), &Method::GET).unwrap();
        let (consumed, parsed) = parsed.expect("a whole head");
        assert_eq!(consumed, answer.head.len());
        match parsed.body {
            ResponseFraming::Body(BodyFraming::Length(length)) => {
                answer.body = self.stream.read_bytes(length as usize).await.unwrap().to_vec();
            }
            ResponseFraming::Body(BodyFraming::Chunked) => answer.body = self.chunks().await,
            ResponseFraming::Body(BodyFraming::None) | ResponseFraming::UntilClose | ResponseFraming::Tunnel => {}
        }
        answer
    }

    /// The next answer's head.
    pub async fn head(&self) -> String {
        let head = self.stream.read_until(b"\r\n\r\n").await.expect("an answer");
        String::from_utf8(head.to_vec()).unwrap()
    }

    async fn chunks(&self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.stream.read_until(b"\r\n").await.expect("a chunk");
            let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
            let size = usize::from_str_radix(digits, 16).expect("a chunk size");
            let data = self.stream.read_bytes(size + 2).await.expect("a chunk's data");
            assert!(data.ends_with(b"\r\n"));
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&data[..size]);
        }
    }

    /// Everything until the server ends its side in an orderly way. A reset fails the test.
    pub async fn rest(&self) -> String {
        String::from_utf8(self.rest_bytes().await).unwrap()
    }

    /// [`rest`](Client::rest) of any bytes.
    pub async fn rest_bytes(&self) -> Vec<u8> {
        self.stream.read_until_close().await.expect("an orderly end").to_vec()
    }

    /// Asserts that the server ends the connection without another byte.
    pub async fn expect_closed(&self) {
        assert_eq!(self.rest().await, "");
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        status(&self.head)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The status of the answer that `text` begins with.
pub fn status(text: &str) -> u16 {
    let rest = text.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("not an answer: {text:?}"));
    rest[..3].parse().unwrap()
}

/// The value of a header line of the answer that `text` begins with.
pub fn header<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Something that one side waits for and the other side brings about. Clones are the same event.
#[derive(Clone, Default)]
pub struct Event(Rc<EventState>);

#[derive(Default)]
struct EventState {
    happened: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Event {
    pub fn new() -> Event {
        Event::default()
    }

    pub fn set(&self) {
        self.0.happened.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    pub fn is_set(&self) -> bool {
        self.0.happened.get()
    }

    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.0.happened.get() {
                return Poll::Ready(());
            }
            self.0.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Sets its event when it is dropped: tells the end of the future that holds it.
pub struct SetOnDrop(pub Event);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Lets the loop go on for this many turns that begin with a look at the descriptors. Turns of the queue alone, of which
/// there may be any number in between, count for nothing: in them no connection learns of anything.
pub async fn turns(count: usize) {
    let looks = || IOLoop::current().metrics().waits;
    for _ in 0..count {
        let before = looks();
        until(|| looks() > before).await;
    }
}

/// Lets the loop turn until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Runs a test on a loop whose time passes as the test says.
pub fn run_virtual<F: Future>(test: impl FnOnce(VirtualClock) -> F) -> F::Output {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    let output = ioloop.run_sync(test(clock));
    ioloop.close();
    output
}
