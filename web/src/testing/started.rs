use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use httpserver::{JoinHandle, Result, spawn};

use super::{TestResponse, run::CallSite};

/// A request that is under way, made by [`TestRequest::start`](super::TestRequest::start): a future of its answer.
///
/// Dropping it takes the client away: its connection is closed.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, testing::{self, TestClient}};
///
/// async fn never(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.while_connected(std::future::pending::<()>()).await
/// }
///
/// testing::run(async {
///     let log = testing::capture_log();
///     let poll = TestClient::new(Application::new().get("/poll", never)).get("/poll").start();
///     testing::settle().await;
///     drop(poll);
///     testing::settle().await;
///     log.expect(testing::Level::Info, "web::access", "499 GET /poll");
/// });
/// ```
#[must_use = "dropping it takes the client away"]
pub struct Started {
    task: JoinHandle<Result<TestResponse>>,
    what: String,
    site: CallSite,
}

impl Started {
    pub(super) fn new(
        what: String,
        site: CallSite,
        answer: impl Future<Output = Result<TestResponse>> + 'static,
    ) -> Started {
        Started { task: spawn(answer), what, site }
    }

    /// Whether the whole answer has come. [`settle`](super::settle) before asking.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Future for Started {
    type Output = TestResponse;

    /// # Panics
    ///
    /// When the answer does not come whole.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TestResponse> {
        let Started { task, what, site } = &mut *self;
        match ready!(Pin::new(task).poll(cx)) {
            Ok(Ok(response)) => Poll::Ready(response),
            Ok(Err(error)) => panic!("{what} (at {site}): {error}"),
            Err(error) => panic!("{what} (at {site}): {error}"),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("request", &self.what).field("finished", &self.is_finished()).finish()
    }
}
