use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use iostream::ioloop::{Printable, report_failure};

use crate::{Body, Error, Response};

/// What a service may return.
///
/// Text becomes `text/plain; charset=utf-8`, bytes `application/octet-stream`, a status an answer without a body, and
/// an [`Error`] its status: a service can use `?` on what it reads.
///
/// # Examples
///
/// ```
/// use httpserver::{IntoResponse, StatusCode};
///
/// let response = (StatusCode::NOT_FOUND, "no such room\n").into_response();
/// assert_eq!(response.status(), 404);
/// assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
/// ```
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    #[inline]
    fn into_response(self) -> Response {
        self
    }
}

macro_rules! into_response_by {
    ($constructor:path: $($ty:ty),*) => {
        $(impl IntoResponse for $ty {
            fn into_response(self) -> Response {
                $constructor(self)
            }
        })*
    };
}

into_response_by!(Response::text: &'static str, String);
into_response_by!(Response::bytes: Bytes, Vec<u8>, &'static [u8], Body);
into_response_by!(Response::new: StatusCode);

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(text) => Response::text(text),
            Cow::Owned(text) => Response::text(text),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for Error {
    /// The status of the error and its text; a 500 that tells nothing for faults that are not the client's. A client that
    /// has left, or that takes nothing any more, gets no answer: the connection ends ([`Response::abort`]).
    fn into_response(self) -> Response {
        match self.status() {
            Some(status) => Response::text(format!("{status}: {self}\n")).with_status(status),
            // Any client can cause these at any time: not a line in the log of errors for each.
            None if self.is_client_gone() => {
                log::debug!("request given up: {}", Printable::display(&self));
                Response::abort()
            }
            None => {
                report_failure("httpserver", format_args!("service failed: {}", Printable::display(&self)));
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Response::text("500 Internal Server Error\n").with_status(status)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_responses_with_their_type() {
        let text = "a".into_response();
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
        let bytes = vec![1u8].into_response();
        assert_eq!(bytes.header("content-type"), Some("application/octet-stream"));
        let status = StatusCode::NOT_FOUND.into_response();
        assert_eq!((status.status(), status.header("content-type")), (StatusCode::NOT_FOUND, None));
    }

    #[test]
    fn errors_tell_a_client_its_own_faults_only() {
        let result: Result<&str, Error> = Err(Error::BodyTooLarge { limit: 3 });
        let response = result.into_response();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(response.body().as_bytes().unwrap().ends_with(b"body longer than 3 bytes\n"));
        let response = Error::InvalidHeader("secret").into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.body().as_bytes().unwrap().windows(6).any(|w| w == b"secret"));
    }
}
