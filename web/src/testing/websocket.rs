use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    pin::pin,
    rc::Rc,
    task::Poll,
};

use httpserver::{Bytes, Error, IOStream, JoinHandle, Result, StatusCode, spawn, sync::Condition};

#[cfg(feature = "templates")]
use super::notes::Notes;
use super::{StreamedResponse, TestRequest, TestResponse, patience::waiting_for, run::CallSite, settle};
#[cfg(feature = "deflate")]
use crate::websocket::codec::Deflate;
use crate::websocket::{
    CloseCode, CloseFrame, Message,
    codec::{Decoder, Encoder, Event, ProtocolError, Role},
};

/// A WebSocket as a browser has one, made by [`TestRequest::websocket`](super::TestRequest::websocket).
///
/// It reads all the time, answers pings, and answers a close frame. Each of that can be left out, to be a bad client:
/// [`stop_reading`](TestWebSocket::stop_reading) makes a slow one, or one that has vanished without a word, and
/// [`answer_pings`](TestWebSocket::answer_pings) one that does not answer. Dropping it is to leave without a close frame.
///
/// Messages that the test does not ask for are kept for it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, testing::{self, TestClient}};
///
/// async fn echo(exchange: &mut Exchange) -> web::Result<()> {
///     let mut socket = exchange.websocket().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().get("/echo", echo));
///     let mut socket = client.get("/echo").websocket().await;
///     socket.send("hello").await;
///     socket.assert_next("hello").await;
///
///     testing::advance(Duration::from_secs(100)).await;
///     assert_eq!(socket.pings(), 3);
///
///     // Gone without a word: the server finds out by a ping that is not answered.
///     socket.stop_reading();
///     testing::advance(Duration::from_secs(100)).await;
///     assert_eq!(client.server().connections(), 0);
/// });
/// ```
pub struct TestWebSocket {
    what: String,
    subprotocol: Option<String>,
    #[cfg(feature = "templates")]
    notes: Notes,
    link: Rc<Link>,
    reader: JoinHandle<()>,
}

/// What the socket and the task that reads for it share.
struct Link {
    stream: IOStream,
    encoder: RefCell<Encoder>,
    /// Received, and not yet asked for.
    inbox: RefCell<VecDeque<Message>>,
    pongs: RefCell<Vec<Bytes>>,
    pings: Cell<usize>,
    /// How it ended, which is behind everything in the inbox.
    end: RefCell<Option<End>>,
    /// The connection is closed, too.
    is_over: Cell<bool>,
    reads: Cell<bool>,
    answers_pings: Cell<bool>,
    has_closed: Cell<bool>,
    /// Notified of every change of the above.
    changed: Condition,
}

/// How the server has ended it.
#[derive(Debug, Clone)]
enum End {
    Closed(Option<CloseFrame>),
    /// Without a close frame.
    Cut,
    /// It has sent what it must not.
    Fault(ProtocolError),
}

/// The key of the example in RFC 6455 1.3, and its answer: a test needs no other.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl TestWebSocket {
    /// Sends the handshake.
    ///
    /// # Errors
    ///
    /// The answer, if it is another than 101.
    pub(super) async fn open(request: TestRequest) -> std::result::Result<TestWebSocket, TestResponse> {
        let (encoder, decoder) = (Encoder::new(Role::Client), Decoder::new(Role::Client).max_message_size(usize::MAX));
        let site = request.site();
        #[cfg(feature = "deflate")]
        let deflate = request.deflate_options().cloned();
        let stream = request.into_handshake(KEY).stream().await;
        if stream.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(stream.finish().await);
        }
        check_head(&stream, site);
        #[cfg(feature = "deflate")]
        let (encoder, decoder) = match deflate.and_then(|options| agreed(&stream, &options, site)) {
            Some(agreed) => (encoder.deflate(&agreed), decoder.deflate(&agreed)),
            None => (encoder, decoder),
        };
        let (what, subprotocol) =
            (stream.what().to_owned(), stream.header("sec-websocket-protocol").map(str::to_owned));
        #[cfg(feature = "templates")]
        let notes = stream.notes.clone();
        let link = Rc::new(Link {
            stream: stream.into_upgraded(),
            encoder: RefCell::new(encoder),
            inbox: RefCell::default(),
            pongs: RefCell::default(),
            pings: Cell::new(0),
            end: RefCell::new(None),
            is_over: Cell::new(false),
            reads: Cell::new(true),
            answers_pings: Cell::new(true),
            has_closed: Cell::new(false),
            changed: Condition::new(),
        });
        let reader = spawn(read(Rc::clone(&link), decoder));
        Ok(TestWebSocket {
            what,
            subprotocol,
            #[cfg(feature = "templates")]
            notes,
            link,
            reader,
        })
    }

    /// Sends a message: text from a `&str` or `String`, binary from a `&[u8]`, `Vec<u8>` or `Bytes`. Waits until the
    /// connection has taken it, for a server that does not read: see [`TestClient::capacity`](super::TestClient::capacity).
    ///
    /// # Panics
    ///
    /// When the connection has ended.
    #[track_caller]
    pub fn send(&mut self, message: impl Into<Message>) -> impl Future<Output = ()> {
        let site = Location::caller();
        let frame = self.link.encoder.borrow_mut().message(&message.into());
        self.send_at(frame, site)
    }

    /// [`send`](TestWebSocket::send) of a value as JSON, in a message of text.
    ///
    /// # Panics
    ///
    /// As [`send`](TestWebSocket::send), and when JSON has no form for the value.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn send_json<T: serde_core::Serialize + ?Sized>(&mut self, value: &T) -> impl Future<Output = ()> {
        let json = serde_json::to_string(value).expect("a value that JSON has a form for");
        self.send(json)
    }

    /// Sends bytes as they are: fragments of a message, or what breaks the protocol.
    ///
    /// # Panics
    ///
    /// When the connection has ended.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: impl Into<Bytes>) -> impl Future<Output = ()> {
        let site = Location::caller();
        self.send_at(bytes.into(), site)
    }

    /// Sends a ping, of at most 125 bytes. [`pongs`](TestWebSocket::pongs) has the answers.
    ///
    /// # Panics
    ///
    /// When the connection has ended, or the payload is too long.
    #[track_caller]
    pub fn ping(&mut self, payload: &[u8]) -> impl Future<Output = ()> {
        let site = Location::caller();
        let frame = self.link.encoder.borrow().ping(payload).expect("a ping of at most 125 bytes");
        self.send_at(frame, site)
    }

    /// Waits for the next message; `None` when the server has closed.
    ///
    /// # Panics
    ///
    /// When the connection ends without a close frame, or the server breaks the protocol.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Option<Message>> {
        let site = Location::caller();
        self.receive_at(site)
    }

    /// Waits for the next message, and asserts what it is: text or binary as for [`send`](TestWebSocket::send).
    ///
    /// # Panics
    ///
    /// When it is another, or the connection ends.
    #[track_caller]
    pub fn assert_next(&mut self, expected: impl Into<Message>) -> impl Future<Output = ()> {
        let site = Location::caller();
        let expected = expected.into();
        async move {
            match self.next_at(site).await {
                Ok(message) if message == expected => {}
                Ok(message) => {
                    self.fail_at(site, format_args!("expected {}, got {}", shown(&expected), shown(&message)))
                }
                Err(end) => self.fail_at(site, format_args!("expected {}, and {}", shown(&expected), shown_end(&end))),
            }
        }
    }

    /// Waits for the next message, and asserts that it is text and JSON of this value.
    ///
    /// # Panics
    ///
    /// When it is another, or the connection ends.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn assert_next_json<T: serde_core::Serialize + ?Sized>(&mut self, expected: &T) -> impl Future<Output = ()> {
        let site = Location::caller();
        let expected = serde_json::to_value(expected).expect("a value that JSON has a form for");
        async move {
            match self.next_at(site).await {
                Ok(Message::Text(text))
                    if serde_json::from_str(&text).is_ok_and(|found: serde_json::Value| found == expected) => {}
                Ok(message) => {
                    self.fail_at(site, format_args!("expected the JSON {expected}, got {}", shown(&message)))
                }
                Err(end) => self.fail_at(site, format_args!("expected the JSON {expected}, and {}", shown_end(&end))),
            }
        }
    }

    /// Lets everything run that can run now, and asserts that no message has come and the connection goes on. Pings may
    /// have come.
    ///
    /// # Panics
    ///
    /// When one has, and outside of [`run`](super::run).
    #[track_caller]
    pub fn assert_nothing(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            settle().await;
            if let Some(message) = self.link.inbox.borrow().front() {
                self.fail_at(site, format_args!("expected no message yet, got {}", shown(message)));
            }
            if let Some(end) = &*self.link.end.borrow() {
                self.fail_at(site, format_args!("expected no message yet, and {}", shown_end(end)));
            }
        }
    }

    /// Closes in order: sends a close frame, and waits until the server has answered it and closed the connection. Messages
    /// that come before are dropped.
    ///
    /// # Panics
    ///
    /// When the server does not answer with a close frame, and when the code is one that is never sent.
    #[track_caller]
    pub fn close(self, code: impl Into<CloseCode>, reason: &str) -> impl Future<Output = ()> {
        let site = Location::caller();
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned() };
        let frame = self.link.encoder.borrow().close(Some(&frame)).expect("a code and a reason that can be sent");
        async move {
            self.link.has_closed.set(true);
            self.send_at(frame, site).await;
            let end = loop {
                match self.next_at(site).await {
                    Ok(_message) => {}
                    Err(end) => break end,
                }
            };
            if !matches!(end, End::Closed(_)) {
                self.fail_at(site, format_args!("expected an answer to the close frame, and {}", shown_end(&end)));
            }
            self.wait_until_over(site).await;
        }
    }

    /// Waits, and asserts that the server closes with this code, without a message before it. Returns the reason. The client
    /// has answered, unless it does not read, and the connection is closed then.
    ///
    /// # Panics
    ///
    /// When something else comes.
    #[track_caller]
    pub fn assert_closed(&mut self, code: impl Into<CloseCode>) -> impl Future<Output = String> {
        let site = Location::caller();
        let code = code.into();
        async move {
            let frame = match self.next_at(site).await {
                Err(End::Closed(frame)) => frame,
                Ok(message) => self.fail_at(site, format_args!("expected a close frame, got {}", shown(&message))),
                Err(end) => self.fail_at(site, format_args!("expected a close frame, and {}", shown_end(&end))),
            };
            let (found, reason) =
                frame.map_or((CloseCode::NO_STATUS, String::new()), |frame| (frame.code, frame.reason));
            if found != code {
                self.fail_at(site, format_args!("expected to be closed with {code}, and it was {found}: {reason:?}"));
            }
            self.wait_until_over(site).await;
            reason
        }
    }

    /// Reads on, and asserts that the connection ends without a close frame.
    ///
    /// # Panics
    ///
    /// When there is one.
    #[track_caller]
    pub fn assert_cut(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            loop {
                match self.next_at(site).await {
                    Ok(_message) => {}
                    Err(End::Cut) => return,
                    Err(end) => {
                        self.fail_at(site, format_args!("expected the connection to be cut, and {}", shown_end(&end)))
                    }
                }
            }
        }
    }

    /// Reads nothing from here on, and so answers nothing. Once [`capacity`](super::TestClient::capacity) bytes wait for the
    /// client, the application cannot send: a slow reader. If time passes, it is a client that has vanished.
    pub fn stop_reading(&mut self) {
        self.link.reads.set(false);
        self.link.changed.notify_all();
    }

    /// Reads again.
    pub fn start_reading(&mut self) {
        self.link.reads.set(true);
        self.link.changed.notify_all();
    }

    /// Whether pings are answered, as they are by default.
    pub fn answer_pings(&mut self, on: bool) {
        self.link.answers_pings.set(on);
    }

    /// How many pings have come.
    pub fn pings(&self) -> usize {
        self.link.pings.get()
    }

    /// The payloads of the pongs that have come.
    pub fn pongs(&self) -> Vec<Bytes> {
        self.link.pongs.borrow().clone()
    }

    /// The subprotocol that the server has chosen.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The client goes away without a close frame. The same as dropping it, for those who read the test. If something was
    /// sent to a client that does not read, the connection is reset.
    pub fn disconnect(self) {}

    async fn send_at(&self, frame: Bytes, site: CallSite) {
        let what = || format!("the application to read from the WebSocket {}", self.what);
        if let Err(error) = waiting_for(what, site, self.link.stream.write(frame)).await {
            self.fail_at(site, format_args!("nothing can be sent: {error}"));
        }
    }

    async fn receive_at(&self, site: CallSite) -> Option<Message> {
        match self.next_at(site).await {
            Ok(message) => Some(message),
            Err(End::Closed(_)) => None,
            Err(end) => self.fail_at(site, format_args!("expected a message, and {}", shown_end(&end))),
        }
    }

    /// The next message, or how the server has ended it.
    async fn next_at(&self, site: CallSite) -> std::result::Result<Message, End> {
        let link = &self.link;
        let next = async {
            loop {
                if let Some(message) = link.inbox.borrow_mut().pop_front() {
                    return Ok(message);
                }
                if let Some(end) = &*link.end.borrow() {
                    return Err(end.clone());
                }
                link.changed.wait().await;
            }
        };
        waiting_for(|| format!("a message of the WebSocket {}", self.what), site, next).await
    }

    async fn wait_until_over(&self, site: CallSite) {
        let over = async {
            while !self.link.is_over.get() {
                self.link.changed.wait().await;
            }
        };
        waiting_for(|| format!("the application to close the connection of {}", self.what), site, over).await;
    }

    #[cfg(feature = "templates")]
    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    #[cfg(feature = "templates")]
    #[track_caller]
    pub(super) fn fail(&self, why: fmt::Arguments<'_>) -> ! {
        self.fail_at(Location::caller(), why)
    }

    fn fail_at(&self, site: CallSite, why: fmt::Arguments<'_>) -> ! {
        panic!("the WebSocket {}: {why} (at {site})", self.what)
    }
}

/// Fails the test unless a browser would take the head for the answer to its handshake.
fn check_head(response: &StreamedResponse, site: CallSite) {
    if response.header("sec-websocket-accept") != Some(ACCEPT) || !response.headers().has_token("upgrade", "websocket")
    {
        response.fail_at(site, format_args!("expected the answer to the handshake of a WebSocket"));
    }
}

/// What both ends have agreed on about compression.
#[cfg(feature = "deflate")]
fn agreed(response: &StreamedResponse, options: &crate::websocket::DeflateOptions, site: CallSite) -> Option<Deflate> {
    match Deflate::agreed(response.headers().list("sec-websocket-extensions"), options) {
        Ok(agreed) => agreed,
        Err(error) => response.fail_at(site, format_args!("{error}")),
    }
}

/// What is behind a socket: reads, and answers what a browser answers by itself.
async fn read(link: Rc<Link>, mut decoder: Decoder) {
    let end = loop {
        let Ok(bytes) = next_bytes(&link).await else { break End::Cut };
        match take_in(&link, &mut decoder, &bytes).await {
            Ok(None) => {}
            Ok(Some(frame)) => break End::Closed(frame),
            Err(fault) => break End::Fault(fault),
        }
    };
    let is_cut = matches!(end, End::Cut);
    *link.end.borrow_mut() = Some(end);
    link.changed.notify_all();
    // A client waits for the server to close the connection (RFC 6455 7.1.1).
    while !is_cut && next_bytes(&link).await.is_ok() {}
    link.is_over.set(true);
    link.changed.notify_all();
}

/// Waits while the client does not read, also if it stops while this waits.
async fn next_bytes(link: &Link) -> Result<Bytes> {
    loop {
        let mut changed = pin!(link.changed.wait());
        if !link.reads.get() {
            changed.await;
            continue;
        }
        let mut read = pin!(link.stream.read_some(64 * 1024));
        let read = poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
        });
        if let Some(read) = read.await {
            return read.map_err(Error::from);
        }
    }
}

/// The close frame, if there is one.
async fn take_in(
    link: &Link,
    decoder: &mut Decoder,
    mut bytes: &[u8],
) -> std::result::Result<Option<Option<CloseFrame>>, ProtocolError> {
    while let Some(event) = decoder.decode(&mut bytes)? {
        match event {
            Event::Message(message) => link.inbox.borrow_mut().push_back(message),
            Event::Pong(payload) => link.pongs.borrow_mut().push(payload),
            Event::Ping(payload) => {
                link.pings.set(link.pings.get() + 1);
                if link.answers_pings.get() && !link.has_closed.get() {
                    let pong = link.encoder.borrow().pong(&payload);
                    answer(link, pong).await;
                }
            }
            Event::Close(frame) => {
                if !link.has_closed.replace(true) {
                    let close = link.encoder.borrow().close(frame.as_ref());
                    answer(link, close).await;
                }
                return Ok(Some(frame));
            }
        }
        link.changed.notify_all();
    }
    Ok(None)
}

/// A server that has gone in the meantime is found by reading.
async fn answer<E>(link: &Link, frame: std::result::Result<Bytes, E>) {
    if let Ok(frame) = frame {
        let _ = link.stream.write(frame).await;
    }
}

fn shown(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("the text {text:?}"),
        Message::Binary(bytes) => format!("the bytes \"{}\"", bytes.escape_ascii()),
    }
}

fn shown_end(end: &End) -> String {
    match end {
        End::Closed(None) => "the server closed without a code".to_owned(),
        End::Closed(Some(frame)) => format!("the server closed with {}: {:?}", frame.code, frame.reason),
        End::Cut => "the connection ended without a close frame".to_owned(),
        End::Fault(error) => format!("the server broke the protocol: {error}"),
    }
}

impl Drop for TestWebSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl fmt::Debug for TestWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestWebSocket")
            .field("request", &self.what)
            .field("end", &self.link.end.borrow())
            .finish_non_exhaustive()
    }
}
