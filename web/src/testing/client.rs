use std::{
    cell::{Cell, RefCell},
    fmt,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use httpserver::{
    HttpServer, IOLoop, IOStream, Limits, Method, Request, Result, ServerHandle,
    client::{ClientResponse, Connection},
    iostream::memory,
};

use super::{
    TestRequest,
    cookie_jar::CookieJar,
    keys::Keys,
    notes::{Notes, Slot},
};
use crate::Application;

/// A client of an application in the same thread, over streams in memory.
///
/// It keeps cookies and connections as a browser does, and adds nothing to its requests but `Host: localhost`. It follows
/// no redirects. Requests are made by [`get`](TestClient::get) and the like; several may be under way.
///
/// Clones are the same client. For a second one, with cookies and an address of its own, see
/// [`another`](TestClient::another).
///
/// The application is served by an [`HttpServer`] with the options of the application, but TLS, and its limits hold. A client
/// belongs to the loop it is made in, so it is made inside of [`run`](super::run); or in a loop of your own, if
/// [`advance`](super::advance) and the like are not needed.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, testing::{self, TestClient}};
///
/// async fn hello(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text(format!("Hello, {}", exchange.query::<String>("name")?));
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().get("/hello", hello));
///     let response = client.get("/hello").query("name", "Ada & Grace").send().await;
///     response.assert_status(200).assert_text("Hello, Ada & Grace");
///     client.get("/hello").send().await.assert_status(400);
/// });
/// ```
#[derive(Clone)]
pub struct TestClient {
    pub(super) inner: Rc<Inner>,
}

/// What the clones of a client and its requests share.
pub(super) struct Inner {
    server: HttpServer,
    pub(super) settings: RefCell<Settings>,
    pub(super) cookies: RefCell<CookieJar>,
    /// Connections that can be used again.
    idle: RefCell<Vec<Line>>,
    /// How many clients this server has, to give each an address.
    clients: Rc<Cell<u16>>,
}

/// A connection, and what the application notes of the requests on it.
pub(super) struct Line {
    connection: Connection,
    slot: Slot,
}

#[derive(Clone)]
pub(super) struct Settings {
    host: String,
    headers: Vec<(String, Vec<u8>)>,
    peer: Option<SocketAddr>,
    capacity: usize,
    #[cfg_attr(not(any(feature = "signed-cookies", feature = "xsrf")), expect(dead_code, reason = "there are none"))]
    pub(super) keys: Keys,
}

/// What a socket's buffers hold, roughly.
const CAPACITY: usize = 64 * 1024;

impl TestClient {
    /// A client of `application`.
    pub fn new(application: Application) -> TestClient {
        let keys = Keys::of(&application);
        TestClient::first(application.into_server(), keys)
    }

    /// A client of a server, which need not listen: for a service of your own, or for a server that real clients have too.
    ///
    /// Keys and sessions of the application behind it are not known; name those that the test needs.
    pub fn with_server(server: HttpServer) -> TestClient {
        TestClient::first(server, Keys::default())
    }

    fn first(server: HttpServer, keys: Keys) -> TestClient {
        let host = "localhost".to_owned();
        let settings = Settings { host, headers: Vec::new(), peer: None, capacity: CAPACITY, keys };
        TestClient::build(server, settings, Rc::new(Cell::new(0)))
    }

    /// Another client of the same application, with the settings of this one, no cookies, and a port of its own.
    #[must_use]
    pub fn another(&self) -> TestClient {
        let settings = self.inner.settings.borrow().clone();
        TestClient::build(self.inner.server.clone(), settings, Rc::clone(&self.inner.clients))
    }

    fn build(server: HttpServer, mut settings: Settings, clients: Rc<Cell<u16>>) -> TestClient {
        clients.set(clients.get() + 1);
        let ip = settings.peer.map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.ip());
        settings.peer = Some((ip, FIRST_PORT.wrapping_add(clients.get())).into());
        let inner = Inner {
            server,
            settings: RefCell::new(settings),
            cookies: RefCell::default(),
            idle: RefCell::default(),
            clients,
        };
        TestClient { inner: Rc::new(inner) }
    }

    /// Sets the host that requests are for: what their `Host` line says, and what cookies are kept for. `localhost` by
    /// default.
    #[must_use]
    pub fn host(self, host: &str) -> TestClient {
        host.clone_into(&mut self.inner.settings.borrow_mut().host);
        self
    }

    /// Adds a header line to all requests that have none of this name: credentials, for example.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> TestClient {
        self.inner.settings.borrow_mut().headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the address that the client connects from; one on 127.0.0.1 by default.
    #[must_use]
    pub fn peer_addr(self, peer: SocketAddr) -> TestClient {
        self.inner.settings.borrow_mut().peer = Some(peer);
        self.hang_up();
        self
    }

    /// Sets how many bytes may be under way in each direction, as in the buffers of a socket; 64 KiB by default. With few a
    /// slow reader holds the application up soon.
    ///
    /// # Panics
    ///
    /// When it is 0.
    #[must_use]
    #[track_caller]
    pub fn capacity(self, bytes: usize) -> TestClient {
        assert!(bytes > 0, "a connection of capacity 0 could never carry a byte");
        self.inner.settings.borrow_mut().capacity = bytes;
        self.hang_up();
        self
    }

    /// A GET request.
    #[track_caller]
    pub fn get(&self, target: &str) -> TestRequest {
        self.request(Method::GET, target)
    }

    /// A HEAD request.
    #[track_caller]
    pub fn head(&self, target: &str) -> TestRequest {
        self.request(Method::HEAD, target)
    }

    /// A POST request.
    #[track_caller]
    pub fn post(&self, target: &str) -> TestRequest {
        self.request(Method::POST, target)
    }

    /// A PUT request.
    #[track_caller]
    pub fn put(&self, target: &str) -> TestRequest {
        self.request(Method::PUT, target)
    }

    /// A PATCH request.
    #[track_caller]
    pub fn patch(&self, target: &str) -> TestRequest {
        self.request(Method::PATCH, target)
    }

    /// A DELETE request.
    #[track_caller]
    pub fn delete(&self, target: &str) -> TestRequest {
        self.request(Method::DELETE, target)
    }

    /// A request with any method. The target is sent as it is: percent-encoded, with the query if there is one.
    #[track_caller]
    pub fn request(&self, method: Method, target: &str) -> TestRequest {
        TestRequest::new(Rc::clone(&self.inner), method, target)
    }

    /// The value of a cookie that the client would send to the path `/`, as it was set: quoted, if it was.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let host = self.inner.host();
        self.inner.cookies.borrow().value(&host, "/", name)
    }

    /// Keeps a cookie for all paths, as if it had been set by the application.
    pub fn set_cookie(&self, name: &str, value: &str) {
        let host = self.inner.host();
        self.inner.cookies.borrow_mut().set(&host, "/", &format!("{name}={value}; Path=/"));
    }

    /// Forgets all cookies.
    pub fn clear_cookies(&self) {
        self.inner.cookies.take();
    }

    /// Opens a connection and returns the client's end of it: for bytes of your own, such as requests that are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, testing::{self, TestClient}};
    ///
    /// testing::run(async {
    ///     let stream = TestClient::new(Application::new()).connect();
    ///     stream.write("GET / HTTP/1.1\r\nHost: two words\r\n\r\n").await.unwrap();
    ///     let answer = stream.read_until_close().await.unwrap();
    ///     assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    /// });
    /// ```
    pub fn connect(&self) -> IOStream {
        self.inner.connect(Slot::default())
    }

    /// Closes the connections on which nothing is under way. The next request opens a new one.
    pub fn hang_up(&self) {
        let idle = self.inner.idle.take();
        drop(idle);
    }

    /// The server's handle: to count connections, or to drain it under its clients.
    pub fn server(&self) -> ServerHandle {
        self.inner.server.handle()
    }
}

/// Of the range for clients.
const FIRST_PORT: u16 = 49_151;

impl Inner {
    pub(super) fn host(&self) -> String {
        self.settings.borrow().host.clone()
    }

    /// The header lines of all requests.
    pub(super) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.settings.borrow().headers.clone()
    }

    fn connect(&self, slot: Slot) -> IOStream {
        let (capacity, peer) = {
            let settings = self.settings.borrow();
            (settings.capacity, settings.peer)
        };
        let (theirs, ours) = memory::pair(capacity);
        let server = self.server.clone();
        IOLoop::current().spawn_detached(slot.around(async move { server.serve_stream(theirs, peer).await }));
        ours
    }

    /// Sends `request`, and returns its response, the connection that its body comes by, and what is noted of it.
    pub(super) async fn send(&self, request: Request) -> Result<(ClientResponse, Line, Notes)> {
        let mut line = self.take_idle().unwrap_or_else(|| self.new_line());
        let notes = line.slot.begin();
        let response = line.connection.send(request).await?;
        Ok((response, line, notes))
    }

    fn new_line(&self) -> Line {
        let slot = Slot::default();
        Line { connection: Connection::with_limits(self.connect(slot.clone()), no_limits()), slot }
    }

    fn take_idle(&self) -> Option<Line> {
        loop {
            let line = self.idle.borrow_mut().pop()?;
            if line.connection.is_reusable() {
                return Some(line);
            }
        }
    }

    /// Keeps a connection whose response has come to its end, if it can be used again.
    pub(super) fn keep(&self, line: Line) {
        if line.connection.is_reusable() {
            self.idle.borrow_mut().push(line);
        }
    }
}

/// The limits are the server's. One of the client would be a timer, to which the clock could jump.
fn no_limits() -> Limits {
    Limits::default()
        .max_head(16 * 1024 * 1024)
        .max_body(u64::MAX)
        .header_timeout(Duration::MAX)
        .body_timeout(Duration::MAX)
        .request_timeout(Duration::MAX)
        .write_timeout(Duration::MAX)
        .min_body_rate(0)
        .min_write_rate(0)
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.inner.settings.borrow();
        f.debug_struct("TestClient")
            .field("host", &settings.host)
            .field("peer_addr", &settings.peer)
            .field("cookies", &self.inner.cookies.borrow())
            .finish_non_exhaustive()
    }
}
