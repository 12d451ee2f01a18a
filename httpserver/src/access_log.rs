use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use http::{Method, StatusCode, Version};
use iostream::{
    IOLoop,
    ioloop::{Printable, panic_message, report_failure},
};

use crate::{Request, Response, Service};

/// A service that tells a function of each request and its answer: for a log of accesses, or for statistics by path.
///
/// Method and target are copied for it, which is an allocation or two for each request. [`ServerHandle::metrics`] has
/// counts that cost next to nothing. Requests that never reach a service, because they could not be understood, are not
/// told of here; they are counted there, and logged at level debug.
///
/// [`ServerHandle::metrics`]: crate::ServerHandle::metrics
///
/// # Examples
///
/// ```
/// use httpserver::{AccessLog, HttpServer, Request};
///
/// let service = async |_: Request| "hello\n";
/// HttpServer::new(AccessLog::new(service, |access| {
///     println!("{:?} {} {} {:?}", access.status, access.method, access.target, access.duration);
/// }));
/// ```
#[derive(Debug)]
pub struct AccessLog<S, F> {
    service: S,
    hook: F,
}

/// A request and what became of it; see [`AccessLog`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// The request's method.
    pub method: Method,
    /// Its target as sent. It is visible ASCII, so it can be printed.
    pub target: String,
    /// Its version.
    pub version: Version,
    /// The other end of the connection, if it has an address.
    pub peer: Option<SocketAddr>,
    /// The status of the answer, as the client sees it ([`Response::sent_status`]); `None` when there was none: the service
    /// was dropped, or panicked, or gave up.
    pub status: Option<StatusCode>,
    /// The length of the answer's body as far as it is known. A stream has no length before its end.
    pub length: Option<u64>,
    /// From the end of the request's head to the answer, by the loop's turn time. The body of a stream follows later.
    pub duration: Duration,
}

impl<S, F: Fn(&Access) + 'static> AccessLog<S, F> {
    /// Goes around `service`, and calls `hook` when an answer is known, before it is sent. The connection waits for it.
    #[inline]
    pub fn new(service: S, hook: F) -> AccessLog<S, F> {
        AccessLog { service, hook }
    }
}

impl<S: Service, F: Fn(&Access) + 'static> Service for AccessLog<S, F> {
    #[inline]
    async fn call(&self, request: Request) -> Response {
        let access = Some(Box::new(begin(&request)));
        let (began, ioloop) = (request.received_at(), IOLoop::current());
        let mut told = Told { access, began, ioloop, hook: &self.hook };
        let response = self.service.call(request).await;
        if let Some(access) = &mut told.access
            && !response.is_abort()
        {
            let status = response.sent_status(&access.method);
            access.status = Some(status);
            // What is sent instead of a mistake has another body.
            access.length = match status == response.status() {
                true => response.content_length().or(response.body().content_length()),
                false => None,
            };
        }
        response
    }
}

#[inline]
fn begin(request: &Request) -> Access {
    Access {
        method: request.method().clone(),
        target: request.target().to_owned(),
        version: request.version(),
        peer: request.peer_addr(),
        status: None,
        length: None,
        duration: Duration::ZERO,
    }
}

/// Tells the hook when it is dropped, however the service ends.
struct Told<'h, F: Fn(&Access)> {
    access: Option<Box<Access>>,
    began: Instant,
    /// Of the request: this may be dropped when the thread has another, or none.
    ioloop: IOLoop,
    hook: &'h F,
}

impl<F: Fn(&Access)> Drop for Told<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut access) = self.access.take() {
            access.duration = self.ioloop.turn_time().saturating_duration_since(self.began);
            // The service may be panicking, and a second panic would end the program.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.hook)(&access))) {
                let message = Printable::text(panic_message(&*payload));
                report_failure("httpserver", format_args!("panic in the hook of an access log: {message}"));
            }
        }
    }
}
