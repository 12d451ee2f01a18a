//! Conditional requests: `If-Match`, `If-None-Match` and their dates, against what a handler knows of its resource.

use std::time::SystemTime;

use httpserver::{Bytes, Method, Response, StatusCode, httputil::parse_timestamp};

use super::Exchange;
use crate::{
    conditions::{self, Outcome, Validators, whole_seconds},
    error::{HttpError, Result},
};

impl Exchange {
    /// Fails with 412 if the request's conditions do not hold for the resource as it is now (RFC 9110, section 13).
    ///
    /// Call it before a PUT, PATCH or DELETE changes something: it is what keeps one client from overwriting the work of
    /// another. `etag` is the current entity tag with its quotes, `modified` the time of the last change, of which whole
    /// seconds count. With neither of them there is no such resource yet: then `If-Match: *` fails, and
    /// `If-None-Match: *`, by which a client asks to create only, holds.
    ///
    /// GET and HEAD need no call. If a handler sets `ETag` or `Last-Modified`, its answer becomes a 304 or a 412 by itself.
    ///
    /// # Errors
    ///
    /// An [`HttpError`] with 412 Precondition Failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    /// use web::{Exchange, Method, RequestHandler};
    ///
    /// /// A number that clients change only if they know which one it replaces.
    /// #[derive(Default)]
    /// struct Shelf { books: Cell<u32> }
    ///
    /// impl Shelf {
    ///     fn etag(&self) -> String {
    ///         format!("\"{}\"", self.books.get())
    ///     }
    /// }
    ///
    /// impl RequestHandler for Shelf {
    ///     const METHODS: &'static [Method] = &[Method::GET, Method::PUT];
    ///
    ///     async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
    ///         exchange.set_header("ETag", self.etag())?;
    ///         exchange.write_text(self.books.get().to_string());
    ///         Ok(())
    ///     }
    ///
    ///     async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
    ///         let books = exchange.argument("books").await?;
    ///         exchange.check_preconditions(Some(&self.etag()), None)?;
    ///         self.books.set(books);
    ///         exchange.set_header("ETag", self.etag())
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn check_preconditions(&self, etag: Option<&str>, modified: Option<SystemTime>) -> Result<()> {
        let validators = Validators { etag: etag.map(str::as_bytes), modified: modified.map(whole_seconds) };
        match self.evaluate(validators) {
            Outcome::PreconditionFailed => Err(precondition_failed()),
            Outcome::Proceed | Outcome::NotModified => Ok(()),
        }
    }

    /// Whether the client has this response already, by the `ETag` and `Last-Modified` that were set so far. The answer
    /// to a GET or HEAD is a 304 then, whatever else is written: return, and spare the work.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn report(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     exchange.set_header("ETag", "\"2026-07\"")?;
    ///     if exchange.is_not_modified() {
    ///         return Ok(());
    ///     }
    ///     exchange.write_text(long_to_make());
    ///     Ok(())
    /// }
    /// # fn long_to_make() -> String { String::new() }
    /// ```
    #[inline]
    pub fn is_not_modified(&self) -> bool {
        let head = self.head.as_deref();
        self.status.is_success() && head.is_some_and(|head| self.evaluate(validators_of(head)) == Outcome::NotModified)
    }

    /// Evaluates the request's conditions early. They are not looked at again when the response is sent.
    #[cfg(feature = "static")]
    pub(crate) fn evaluate_once(&mut self, validators: Validators<'_>) -> Outcome {
        self.has_validators = false;
        self.evaluate(validators)
    }

    /// Makes a 304 of a response that the client has already. To be called when the head is complete.
    ///
    /// # Errors
    ///
    /// 412 when a condition fails.
    pub(super) fn apply_conditions(&mut self, response: &mut Response) -> Result<()> {
        // What other methods do has been done: their conditions were to be checked before (`check_preconditions`). And
        // conditions count only where the answer without them would be a success (RFC 9110, section 13.2.1).
        if !matches!(*self.method(), Method::GET | Method::HEAD) || !response.status().is_success() {
            return Ok(());
        }
        match self.evaluate(validators_of(response)) {
            Outcome::Proceed => Ok(()),
            Outcome::PreconditionFailed => Err(precondition_failed()),
            Outcome::NotModified => {
                self.status = StatusCode::NOT_MODIFIED;
                make_not_modified(response);
                Ok(())
            }
        }
    }

    fn evaluate(&self, validators: Validators<'_>) -> Outcome {
        conditions::evaluate(self.method(), self.headers().iter(), validators)
    }
}

/// The answer to a condition that does not hold.
pub(crate) fn precondition_failed() -> crate::Error {
    HttpError::new(StatusCode::PRECONDITION_FAILED).into()
}

fn validators_of(response: &Response) -> Validators<'_> {
    let mut validators = Validators::default();
    for (name, value) in response.headers() {
        match name.len() {
            4 if name.eq_ignore_ascii_case("etag") => validators.etag = Some(value),
            13 if name.eq_ignore_ascii_case("last-modified") => validators.modified = parse_timestamp(value),
            _ => {}
        }
    }
    validators
}

/// Leaves out what describes a body that is not sent; what guides caches stays (RFC 9110, section 15.4.5).
fn make_not_modified(response: &mut Response) {
    response.set_status(StatusCode::NOT_MODIFIED);
    response.set_body(Bytes::new());
    for name in ["content-type", "content-length", "content-encoding", "content-language", "content-range"] {
        response.remove_header(name);
    }
}
