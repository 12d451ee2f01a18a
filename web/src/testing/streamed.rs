use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    panic::Location,
    rc::Rc,
    task::Poll,
};

use httpserver::{Body, Bytes, Result, client::ClientResponse};

use super::{
    TestResponse,
    client::{Inner, Line},
    notes::Notes,
    patience::waiting_for,
    run::CallSite,
    settle,
};

/// An answer whose body is read piece by piece, made by [`TestRequest::stream`](super::TestRequest::stream).
///
/// It is a [`TestResponse`], whose body is what has been read so far. Dropping it before its end takes the client away: the
/// connection is closed, which the application notices as it does when a browser's tab is closed. While it is kept and
/// not read, it is a slow reader.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, sleep, testing::{self, TestClient}};
///
/// async fn ticks(exchange: &mut Exchange) -> web::Result<()> {
///     for number in 1..=3 {
///         exchange.write_text(format!("tick {number}\n"));
///         exchange.flush().await?;
///         sleep(Duration::from_secs(60)).await;
///     }
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().get("/ticks", ticks));
///     let mut stream = client.get("/ticks").stream().await;
///     stream.assert_status(200);
///     stream.assert_next("tick 1\n").await;
///     stream.assert_nothing().await;
///
///     testing::advance(Duration::from_secs(60)).await;
///     stream.assert_next("tick 2\n").await;
///     stream.finish().await.assert_text("tick 1\ntick 2\ntick 3\n");
/// });
/// ```
pub struct StreamedResponse {
    response: TestResponse,
    body: Body,
    /// Received, and not yet asked for.
    ahead: Bytes,
    client: Rc<Inner>,
    /// `None` behind the end of the body.
    line: Option<Line>,
}

impl StreamedResponse {
    pub(super) fn new(
        mut head: ClientResponse,
        notes: Notes,
        line: Line,
        client: Rc<Inner>,
        what: String,
    ) -> StreamedResponse {
        let body = head.take_body();
        let response = TestResponse::new(head, notes, what);
        StreamedResponse { response, body, ahead: Bytes::new(), client, line: Some(line) }
    }

    /// The next piece of the body, as much as has come, and `None` at its end. What the application has written by itself may
    /// come together with what follows.
    ///
    /// # Panics
    ///
    /// When the body breaks off; see [`try_chunk`](StreamedResponse::try_chunk).
    #[track_caller]
    pub fn chunk(&mut self) -> impl Future<Output = Option<Bytes>> {
        let site = Location::caller();
        self.chunk_at(site)
    }

    /// [`chunk`](StreamedResponse::chunk) for a body that may break off.
    ///
    /// # Errors
    ///
    /// What the connection failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[track_caller]
    pub fn try_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>>> {
        let site = Location::caller();
        self.try_chunk_at(site)
    }

    /// Reads as many bytes as `expected` has, and asserts that they are these.
    ///
    /// # Panics
    ///
    /// When other bytes come, or the body ends before.
    #[track_caller]
    pub fn assert_next(&mut self, expected: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            let expected = expected.as_ref();
            let found = self.read_while_as(expected, site).await;
            if found != expected {
                let (expected, found) = (expected.escape_ascii(), found.escape_ascii());
                self.fail_at(site, format_args!("expected \"{expected}\" as the next piece, got \"{found}\""));
            }
        }
    }

    /// Lets everything run that can run now, and asserts that nothing more has come, not even the end.
    ///
    /// # Panics
    ///
    /// When something has, and outside of [`run`](super::run).
    #[track_caller]
    pub fn assert_nothing(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            settle().await;
            match self.try_chunk_now().await {
                None => {}
                Some(Ok(Some(chunk))) => {
                    self.fail_at(site, format_args!("expected nothing yet, got \"{}\"", chunk.escape_ascii()))
                }
                Some(Ok(None)) => self.fail_at(site, format_args!("expected nothing yet, got the end of the body")),
                Some(Err(error)) => {
                    self.fail_at(site, format_args!("expected nothing yet, and the body broke off: {error}"))
                }
            }
        }
    }

    /// Waits, and asserts that the body comes to its end without a further byte.
    ///
    /// # Panics
    ///
    /// When something else comes.
    #[track_caller]
    pub fn assert_end(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            if let Some(chunk) = self.chunk_at(site).await {
                self.fail_at(site, format_args!("expected the end of the body, got \"{}\"", chunk.escape_ascii()));
            }
        }
    }

    /// Reads on, and asserts that the connection is closed in the middle of the body.
    ///
    /// # Panics
    ///
    /// When the body comes to its end.
    #[track_caller]
    pub fn assert_cut(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            loop {
                match self.try_chunk_at(site).await {
                    Ok(Some(_)) => {}
                    Ok(None) => self.fail_at(site, format_args!("expected the body to break off, and it has its end")),
                    Err(_) => return,
                }
            }
        }
    }

    /// Reads the rest, and returns the whole answer.
    ///
    /// # Panics
    ///
    /// When the body breaks off.
    #[track_caller]
    pub fn finish(mut self) -> impl Future<Output = TestResponse> {
        let site = Location::caller();
        async move {
            while self.chunk_at(site).await.is_some() {}
            self.response
        }
    }

    /// [`finish`](StreamedResponse::finish) for a body that may break off.
    ///
    /// # Errors
    ///
    /// What the connection failed with.
    #[track_caller]
    pub fn try_finish(mut self) -> impl Future<Output = Result<TestResponse>> {
        let site = Location::caller();
        async move {
            while self.try_chunk_at(site).await?.is_some() {}
            Ok(self.response)
        }
    }

    /// The client goes away. The same as dropping it, for those who read the test.
    pub fn close(self) {}

    pub(super) async fn chunk_at(&mut self, site: CallSite) -> Option<Bytes> {
        match self.try_chunk_at(site).await {
            Ok(chunk) => chunk,
            Err(error) => self.fail_at(site, format_args!("the body broke off: {error}")),
        }
    }

    async fn try_chunk_at(&mut self, site: CallSite) -> Result<Option<Bytes>> {
        let chunk = match std::mem::take(&mut self.ahead) {
            ahead if ahead.is_empty() => self.receive(site).await?,
            ahead => Some(ahead),
        };
        Ok(chunk.inspect(|chunk| self.response.push_body(chunk)))
    }

    /// The next piece if it is there, which does not wait.
    pub(super) async fn try_chunk_now(&mut self) -> Option<Result<Option<Bytes>>> {
        let ahead = std::mem::take(&mut self.ahead);
        let chunk = match ahead.is_empty() {
            true => poll_fn(|cx| Poll::Ready(self.body.poll_chunk(cx))).await,
            false => Poll::Ready(Ok(Some(ahead))),
        };
        match chunk {
            Poll::Pending => None,
            Poll::Ready(chunk) => {
                Some(chunk.inspect(|chunk| chunk.iter().for_each(|chunk| self.response.push_body(chunk))))
            }
        }
    }

    /// The stream that the connection has become.
    ///
    /// # Panics
    ///
    /// When the answer is no 101, which was looked at before.
    #[cfg(feature = "websocket")]
    pub(super) fn into_upgraded(self) -> httpserver::IOStream {
        self.response.head.into_stream().expect("the answer is a 101")
    }

    /// Leaves. Nothing more can be read.
    pub(super) fn hang_up(&mut self) {
        self.body = Body::empty();
        self.ahead = Bytes::new();
        self.line = None;
    }

    /// Reads as long as what comes is as `expected`, and no further than its end.
    async fn read_while_as(&mut self, expected: &[u8], site: CallSite) -> Vec<u8> {
        let mut found = Vec::new();
        // Bytes that differ will not become the same.
        while found.len() < expected.len() && expected.starts_with(&found) {
            let Some(mut chunk) = self.chunk_at(site).await else { break };
            let over = (found.len() + chunk.len()).saturating_sub(expected.len());
            self.ahead = chunk.split_off(chunk.len() - over);
            self.response.shorten_body(over);
            found.extend_from_slice(&chunk);
        }
        found
    }

    async fn receive(&mut self, site: CallSite) -> Result<Option<Bytes>> {
        if self.line.is_none() {
            return Ok(None);
        }
        let what = self.response.what();
        let chunk = waiting_for(|| format!("the next piece of the answer to {what}"), site, self.body.chunk()).await;
        match &chunk {
            Ok(Some(_)) => {}
            Ok(None) => self.line.take().into_iter().for_each(|line| self.client.keep(line)),
            Err(_) => self.line = None,
        }
        chunk
    }

    /// Panics, and shows what has come so far. A future has no caller, so the text says who made it.
    pub(super) fn fail_at(&self, site: CallSite, why: fmt::Arguments<'_>) -> ! {
        self.fail(format_args!("{why} (at {site})"))
    }
}

impl Deref for StreamedResponse {
    type Target = TestResponse;

    fn deref(&self) -> &TestResponse {
        &self.response
    }
}

impl fmt::Debug for StreamedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedResponse")
            .field("response", &self.response)
            .field("at_end", &self.line.is_none())
            .finish_non_exhaustive()
    }
}
