use std::{fmt, future::Future, panic::Location, time::Duration};

use httpserver::sleep;

use super::{StreamedResponse, TestRequest, TestResponse, run::CallSite, settle};
use crate::event_stream::{EventParser, ReceivedEvent};

/// An event stream as a browser's `EventSource` reads it, made by [`TestRequest::events`](super::TestRequest::events).
///
/// Dropping it takes the client away, as closing the page does. While it is kept and not read, it is a slow reader.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, event_stream::Event, sleep, testing::{self, TestClient}};
///
/// /// Counts on from the last number that a client has seen.
/// async fn count(exchange: &mut Exchange) -> web::Result<()> {
///     let seen: u32 = exchange.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
///     let mut events = exchange.event_stream()?;
///     for number in seen + 1.. {
///         events.send(Event::new(format!("number {number}")).id(number.to_string())).await?;
///         sleep(Duration::from_secs(60)).await;
///     }
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().get("/count", count));
///     let mut events = client.get("/count").events().await;
///     assert_eq!(events.next_event().await.unwrap().id, "1");
///     events.assert_nothing().await;
///     events.assert_next("number 2").await;
///     assert_eq!(testing::elapsed(), Duration::from_secs(60));
///     assert!(!events.comments().is_empty(), "silence is broken by comments");
///
///     // The connection breaks, and the browser comes back.
///     events.reconnect().await;
///     events.assert_next("number 3").await;
/// });
/// ```
pub struct TestEvents {
    /// What it reconnects with.
    request: TestRequest,
    stream: StreamedResponse,
    parser: EventParser,
    last_event_id: String,
    retry: Option<Duration>,
}

/// How long a client waits before it reconnects, unless it is told: what browsers choose.
const RETRY: Duration = Duration::from_secs(3);

impl TestEvents {
    pub(super) async fn open(request: TestRequest) -> TestEvents {
        let again = request.again();
        let stream = connect(request).await;
        TestEvents { request: again, stream, parser: parser(), last_event_id: String::new(), retry: None }
    }

    /// Waits for the next event; `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// When the stream breaks off; see [`assert_cut`](TestEvents::assert_cut).
    #[track_caller]
    pub fn next_event(&mut self) -> impl Future<Output = Option<ReceivedEvent>> {
        let site = Location::caller();
        self.next_at(site)
    }

    /// Waits for the next event, asserts its data and returns it.
    ///
    /// # Panics
    ///
    /// When it is another, or the stream ends.
    #[track_caller]
    pub fn assert_next(&mut self, data: &str) -> impl Future<Output = ReceivedEvent> {
        let site = Location::caller();
        async move {
            match self.next_at(site).await {
                Some(event) if event.data == data => event,
                Some(event) => {
                    self.fail_at(site, format_args!("expected an event with the data {data:?}, got {event:?}"))
                }
                None => self.fail_at(site, format_args!("expected an event with the data {data:?}, got the end")),
            }
        }
    }

    /// Lets everything run that can run now, and asserts that no event has come and the stream goes on. Comments may have
    /// come.
    ///
    /// # Panics
    ///
    /// When one has, and outside of [`run`](super::run).
    #[track_caller]
    pub fn assert_nothing(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            settle().await;
            while let Some(came) = self.stream.try_chunk_now().await {
                match came {
                    Ok(Some(chunk)) => self.parse(&chunk, site),
                    Ok(None) => self.fail_at(site, format_args!("expected no event yet, got the end of the stream")),
                    Err(error) => self.fail_at(site, format_args!("expected no event yet, the stream broke: {error}")),
                }
            }
            if let Some(event) = self.take_parsed() {
                self.fail_at(site, format_args!("expected no event yet, got {event:?}"));
            }
        }
    }

    /// Waits, and asserts that the stream comes to its end without a further event.
    ///
    /// # Panics
    ///
    /// When an event comes, or the stream breaks off.
    #[track_caller]
    pub fn assert_end(&mut self) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            if let Some(event) = self.next_at(site).await {
                self.fail_at(site, format_args!("expected the end of the stream, got {event:?}"));
            }
        }
    }

    /// Reads on, and asserts that the connection is closed in the middle of the stream.
    ///
    /// # Panics
    ///
    /// When the stream comes to its end.
    #[track_caller]
    pub fn assert_cut(&mut self) -> impl Future<Output = ()> {
        self.stream.assert_cut()
    }

    /// Does what a browser does when the connection is lost: leaves, waits for the time that the stream has
    /// [named](TestEvents::retry), 3 s by default, and sends the request again, with the last event's id as
    /// `Last-Event-ID`. Events that have come and were not asked for are lost.
    ///
    /// # Panics
    ///
    /// When the answer is no event stream.
    pub async fn reconnect(&mut self) {
        self.stream.hang_up();
        sleep(self.retry.unwrap_or(RETRY)).await;
        let mut request = self.request.again();
        if !self.last_event_id.is_empty() {
            request = request.replace_header("Last-Event-ID", &self.last_event_id);
        }
        self.stream = connect(request).await;
        self.parser = parser();
    }

    /// The client goes away. The same as dropping it, for those who read the test.
    pub fn close(self) {}

    /// The comments so far, in their order and without the colon: what keeps a silent stream open.
    pub fn comments(&self) -> Vec<&str> {
        self.stream.text().lines().filter_map(|line| line.strip_prefix(':')).collect()
    }

    /// The id that the client would reconnect with; empty when there was none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// How long the client waits before it reconnects, if a stream has said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The answer, with the text of the stream as far as it was read.
    pub fn response(&self) -> &TestResponse {
        &self.stream
    }

    async fn next_at(&mut self, site: CallSite) -> Option<ReceivedEvent> {
        loop {
            if let Some(event) = self.take_parsed() {
                return Some(event);
            }
            let chunk = self.stream.chunk_at(site).await?;
            self.parse(&chunk, site);
        }
    }

    fn parse(&mut self, chunk: &[u8], site: CallSite) {
        if let Err(error) = self.parser.push(chunk) {
            self.fail_at(site, format_args!("{error}"));
        }
    }

    fn take_parsed(&mut self) -> Option<ReceivedEvent> {
        let event = self.parser.next_event();
        self.retry = self.parser.retry().or(self.retry);
        if event.is_some() || !self.parser.last_event_id().is_empty() {
            self.parser.last_event_id().clone_into(&mut self.last_event_id);
        }
        event
    }

    fn fail_at(&self, site: CallSite, why: fmt::Arguments<'_>) -> ! {
        self.stream.fail_at(site, why)
    }
}

fn parser() -> EventParser {
    EventParser::new().max_event(usize::MAX)
}

/// Sends the request, and fails the test unless a browser would take the answer for an event stream.
async fn connect(request: TestRequest) -> StreamedResponse {
    let site = request.site();
    let stream = request.header("Accept", "text/event-stream").stream().await;
    let kind = stream.header("content-type").unwrap_or_default();
    if stream.status() != 200 || kind.split(';').next().map(str::trim) != Some("text/event-stream") {
        stream.fail_at(site, format_args!("expected an event stream"));
    }
    stream
}

impl fmt::Debug for TestEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEvents")
            .field("request", &self.request)
            .field("last_event_id", &self.last_event_id)
            .finish_non_exhaustive()
    }
}
