use std::{
    fmt,
    panic::Location,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use httpserver::{
    Body, BodyStream, Error, Frame, Method, Request, Result,
    httputil::{encode_arguments, url_concat},
};

#[cfg(feature = "websocket")]
use super::TestWebSocket;
use super::{
    MultipartForm, Started, StreamedResponse, TestEvents, TestResponse, Upload, client::Inner, patience::waiting_for,
    run::CallSite,
};

/// A request of a [`TestClient`](super::TestClient) in the making. Nothing is sent before [`send`](TestRequest::send) or one
/// of its like.
///
/// The request must be one that a client may send: for bytes that are none, see
/// [`TestClient::connect`](super::TestClient::connect).
#[must_use = "nothing is sent until `send` or the like is called"]
pub struct TestRequest {
    client: Rc<Inner>,
    method: Method,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    /// In the form of a `Cookie` line.
    cookies: Vec<String>,
    body: Body,
    content_length: Option<u64>,
    #[cfg(feature = "deflate")]
    deflate: Option<crate::websocket::DeflateOptions>,
    /// Where it was made.
    site: CallSite,
}

impl TestRequest {
    #[track_caller]
    pub(super) fn new(client: Rc<Inner>, method: Method, target: &str) -> TestRequest {
        TestRequest {
            client,
            method,
            target: target.to_owned(),
            headers: Vec::new(),
            cookies: Vec::new(),
            body: Body::empty(),
            content_length: None,
            #[cfg(feature = "deflate")]
            deflate: None,
            site: Location::caller(),
        }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> TestRequest {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds an argument to the query, encoded.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> TestRequest {
        self.target = url_concat(&self.target, [(name, value.to_string())]);
        self
    }

    /// Adds a cookie to those that the client keeps, for this request only. The value is sent as it is.
    pub fn cookie(mut self, name: &str, value: &str) -> TestRequest {
        self.cookies.push(format!("{name}={value}"));
        self
    }

    /// Sets the body, with its `Content-Length` if the length is known, and in chunks otherwise. Text, bytes, or any
    /// [`Body`].
    pub fn body(mut self, body: impl Into<Body>) -> TestRequest {
        self.body = body.into();
        self
    }

    /// Sets the body and its type: `text/plain; charset=utf-8`.
    pub fn text(self, text: impl Into<String>) -> TestRequest {
        self.header("Content-Type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Sets the body to a form, and its type: `application/x-www-form-urlencoded`.
    pub fn form<N: AsRef<[u8]>, V: AsRef<[u8]>>(self, fields: impl IntoIterator<Item = (N, V)>) -> TestRequest {
        self.header("Content-Type", "application/x-www-form-urlencoded").body(encode_arguments(fields))
    }

    /// Sets the body to a form with files, and its type: `multipart/form-data`.
    pub fn multipart(self, form: &MultipartForm) -> TestRequest {
        let (content_type, body) = form.encode();
        self.header("Content-Type", content_type).body(body)
    }

    /// Sets the body to JSON, and its type: `application/json`.
    ///
    /// # Panics
    ///
    /// When `value` cannot be written as JSON: a map whose keys are no text, for example.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde_core::Serialize + ?Sized>(self, value: &T) -> TestRequest {
        let json = serde_json::to_vec(value).expect("a value that JSON has a form for");
        self.header("Content-Type", "application/json").body(json)
    }

    /// Sends the body in chunks, even if its length is known.
    pub fn chunked(mut self) -> TestRequest {
        let body = std::mem::take(&mut self.body);
        self.body = Body::stream(Announced { body, length: None });
        self
    }

    /// Announces a length: for bodies that come piece by piece. The request fails when the body has another one.
    pub fn content_length(mut self, length: u64) -> TestRequest {
        self.content_length = Some(length);
        self
    }

    /// Sends the request and waits for the whole answer.
    ///
    /// # Panics
    ///
    /// When the request is none that can be sent, or when the answer does not come whole; see
    /// [`try_send`](TestRequest::try_send).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection: the client goes away.
    pub async fn send(self) -> TestResponse {
        let shown = self.shown();
        match self.try_send().await {
            Ok(response) => response,
            Err(error) => panic!("{shown}: {error}"),
        }
    }

    /// [`send`](TestRequest::send) for a request that may fail.
    ///
    /// # Errors
    ///
    /// What the connection failed with, in the head or in the body: the application has closed it, for example. What could not
    /// be sent is [`Error::InvalidHeader`] or [`Error::BadRequest`].
    pub async fn try_send(self) -> Result<TestResponse> {
        self.receive_head().await?.try_finish().await
    }

    /// Sends the request and waits for the head of the answer. The body is read piece by piece.
    ///
    /// # Panics
    ///
    /// As [`send`](TestRequest::send).
    pub async fn stream(self) -> StreamedResponse {
        let shown = self.shown();
        self.receive_head().await.unwrap_or_else(|error| panic!("{shown}: {error}"))
    }

    /// Sends the request and waits for the head of the answer, which has to be an event stream: 200 and `text/event-stream`.
    /// A body is not sent.
    ///
    /// # Panics
    ///
    /// When the answer is another, and as [`send`](TestRequest::send).
    pub async fn events(self) -> TestEvents {
        TestEvents::open(self).await
    }

    /// Offers compression (`permessage-deflate`) when this becomes a [`websocket`](TestRequest::websocket).
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, options: &crate::websocket::DeflateOptions) -> TestRequest {
        self.deflate = Some(options.clone());
        self
    }

    /// Opens a WebSocket: sends the request with the lines of the handshake, and waits for the answer. There is no `Origin`,
    /// as from a program; add one to be a browser's page.
    ///
    /// # Panics
    ///
    /// When the answer is another than 101, or not the one to this handshake. A body is not sent.
    #[cfg(feature = "websocket")]
    pub async fn websocket(self) -> TestWebSocket {
        let site = self.site;
        match TestWebSocket::open(self).await {
            Ok(socket) => socket,
            Err(response) => {
                response.fail(format_args!("expected the handshake of a WebSocket to be accepted (at {site})"))
            }
        }
    }

    /// [`websocket`](TestRequest::websocket) for a handshake that may be refused.
    ///
    /// # Errors
    ///
    /// The answer, if it is another than 101.
    #[cfg(feature = "websocket")]
    pub async fn try_websocket(self) -> std::result::Result<TestWebSocket, TestResponse> {
        TestWebSocket::open(self).await
    }

    /// The request with the lines of a handshake that has this key.
    #[cfg(feature = "websocket")]
    pub(super) fn into_handshake(self, key: &str) -> TestRequest {
        let request = self
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", key)
            .body(Body::empty());
        #[cfg(feature = "deflate")]
        if let Some(options) = &request.deflate {
            let offer = crate::websocket::codec::Deflate::offer(options);
            return request.header("Sec-WebSocket-Extensions", offer);
        }
        request
    }

    /// What compression was offered.
    #[cfg(feature = "deflate")]
    pub(super) fn deflate_options(&self) -> Option<&crate::websocket::DeflateOptions> {
        self.deflate.as_ref()
    }

    /// Sends the request in a task of its own, so that others can be sent meanwhile: a long poll, for example. Dropping what
    /// is returned takes the client away.
    pub fn start(self) -> Started {
        let (what, site) = (self.what(), self.site);
        Started::new(what, site, self.try_send())
    }

    /// Sends the request in a task of its own, with a body that is written piece by piece; in chunks unless
    /// [`content_length`](TestRequest::content_length) was called.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, testing::{self, TestClient}};
    ///
    /// async fn count(exchange: &mut Exchange) -> web::Result<()> {
    ///     let mut length = 0;
    ///     while let Some(piece) = exchange.chunk().await? {
    ///         length += piece.len();
    ///     }
    ///     exchange.write_text(length.to_string());
    ///     Ok(())
    /// }
    ///
    /// testing::run(async {
    ///     let client = TestClient::new(Application::new().post("/count", count));
    ///     let (mut upload, answer) = client.post("/count").upload();
    ///     upload.write("one piece").await;
    ///     assert!(!answer.is_finished());
    ///     upload.write(" and another").await;
    ///     upload.finish();
    ///     answer.await.assert_text("21");
    /// });
    /// ```
    pub fn upload(mut self) -> (Upload, Started) {
        let (writer, body) = Body::channel();
        self.body = body;
        let upload = Upload::new(writer, self.content_length, self.what());
        (upload, self.start())
    }

    async fn receive_head(self) -> Result<StreamedResponse> {
        let (what, site, client) = (self.what(), self.site, Rc::clone(&self.client));
        let (host, path) = (client.host(), self.path().to_owned());
        let request = self.build()?;
        let (response, line, notes) =
            waiting_for(|| format!("the answer to {what}"), site, client.send(request)).await?;
        for line in response.headers().get_all("set-cookie") {
            client.cookies.borrow_mut().set(&host, &path, &String::from_utf8_lossy(line));
        }
        Ok(StreamedResponse::new(response, notes, line, client, what))
    }

    fn build(self) -> Result<Request> {
        let mut request = Request::builder().method(self.method.clone()).target(&self.target);
        let own = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let host = self.client.host();
        if !own("host") {
            request = request.header("Host", &host);
        }
        let mut cookies = self.client.cookies.borrow().line(&host, self.path());
        for cookie in &self.cookies {
            let separator = if cookies.is_empty() { "" } else { "; " };
            cookies = cookies + separator + cookie;
        }
        if !cookies.is_empty() {
            request = request.header("Cookie", cookies);
        }
        for (name, value) in self.client.headers() {
            if !own(&name) {
                request = request.header(&name, value);
            }
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = match self.content_length {
            Some(length) => Body::stream(Announced { body: self.body, length: Some(length) }),
            None => self.body,
        };
        request.body(body).build()
    }

    /// Puts a header line in the place of those that have its name.
    pub(super) fn replace_header(mut self, name: &str, value: &str) -> TestRequest {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// The request once more, but for its body.
    pub(super) fn again(&self) -> TestRequest {
        TestRequest {
            client: Rc::clone(&self.client),
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            cookies: self.cookies.clone(),
            body: Body::empty(),
            content_length: None,
            #[cfg(feature = "deflate")]
            deflate: self.deflate.clone(),
            site: self.site,
        }
    }

    /// Of whom it is.
    #[cfg(feature = "xsrf")]
    pub(super) fn client(&self) -> &Inner {
        &self.client
    }

    /// Where it was made.
    pub(super) fn site(&self) -> CallSite {
        self.site
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// For the texts of failures.
    fn what(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn shown(&self) -> String {
        format!("{} (at {})", self.what(), self.site)
    }
}

/// A body that announces a length of its own choosing.
struct Announced {
    body: Body,
    length: Option<u64>,
}

impl BodyStream for Announced {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        self.body.poll_frame(cx)
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        self.body.receiver_gone(error)
    }

    fn exact_size(&self) -> Option<u64> {
        self.length
    }
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
