use std::time::Duration;

use http::StatusCode;

/// What can go wrong between a client, this server and a service.
///
/// Errors a client caused have a [`status`](Error::status): the server sends it and closes the connection, because
/// after a message that could not be understood nobody knows where the next one begins.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message breaks the grammar of HTTP/1.1, or leaves open where it ends. Usually a broken client, a
    /// different protocol on this port, or an attempt at request smuggling. Answered 400.
    #[error("bad request: {0}")]
    BadRequest(&'static str),

    /// The request target is longer than [`Limits::max_target`](crate::Limits::max_target). Answered 414.
    #[error("request target longer than {limit} bytes")]
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },

    /// The head of the request, or the trailers of a chunked body, are longer than allowed. Answered 431.
    #[error("message head longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },

    /// More header lines than [`Limits::max_headers`](crate::Limits::max_headers). Answered 431.
    #[error("more than {limit} header lines")]
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },

    /// The body is, or announces to be, longer than the limit that applies to it:
    /// [`Limits::max_body`](crate::Limits::max_body) or the one given where it is collected. Answered 413.
    #[error("body longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },

    /// The request has an expectation other than `100-continue`. Answered 417.
    #[error("unknown expectation")]
    ExpectationFailed,

    /// The request needs something this server does not have, such as a transfer coding. Answered 501.
    #[error("not implemented: {0}")]
    NotImplemented(&'static str),

    /// The request speaks another major version of HTTP; this server speaks 1.1 and 1.0. Answered 505.
    #[error("HTTP version not supported")]
    VersionNotSupported,

    /// The head of a request did not arrive within [`Limits::header_timeout`](crate::Limits::header_timeout).
    /// Answered 408.
    #[error("request head not complete after {0:?}")]
    HeaderTimeout(Duration),

    /// No byte of the body arrived for [`Limits::body_timeout`](crate::Limits::body_timeout). Answered 408.
    #[error("no body data for {0:?}")]
    BodyTimeout(Duration),

    /// The client took no byte of the answer for [`Limits::write_timeout`](crate::Limits::write_timeout).
    #[error("client read nothing for {0:?}")]
    WriteTimeout(Duration),

    /// The client closed the connection before the message was complete.
    #[error("connection closed by the client")]
    Closed,

    /// The stream below failed.
    #[error(transparent)]
    Stream(#[from] iostream::Error),

    /// A header of a response cannot be sent as given: its name is no token, its value has a control character, or
    /// it belongs to the server. The text says which.
    #[error("invalid header: {0}")]
    InvalidHeader(&'static str),

    /// A streamed response wrote more or less than the Content-Length it announced.
    #[error("response of {announced} bytes announced, {written} written")]
    ContentLengthMismatch {
        /// The Content-Length sent with the head.
        announced: u64,
        /// Bytes the service wrote, the piece that was refused included.
        written: u64,
    },

    /// The body, or the response, was already taken by an earlier call.
    #[error("{0} already taken")]
    AlreadyTaken(&'static str),

    /// Another server sent a response that cannot be understood, or that is longer than allowed. Not the client's fault:
    /// it has no status of its own, and answers 500 where nothing better is made of it.
    #[error("bad response: {0}")]
    BadResponse(&'static str),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The status that answers this error; `None` where there is nobody to answer or the fault is not the client's.
    pub fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Error::BadRequest(_) => StatusCode::BAD_REQUEST,
            Error::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Error::HeadTooLarge { .. } | Error::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Error::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Error::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Error::HeaderTimeout(_) | Error::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Error::WriteTimeout(_)
            | Error::Closed
            | Error::Stream(_)
            | Error::InvalidHeader(_)
            | Error::ContentLengthMismatch { .. }
            | Error::AlreadyTaken(_)
            | Error::BadResponse(_) => return None,
        })
    }

    /// Whether a time-out of [`Limits`](crate::Limits) ended it.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::HeaderTimeout(_) | Error::BodyTimeout(_) | Error::WriteTimeout(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn client_faults_have_a_status_and_others_have_none() {
        assert_eq!(Error::BadRequest("x").status(), Some(StatusCode::BAD_REQUEST));
        assert_eq!(Error::BodyTooLarge { limit: 1 }.status(), Some(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(Error::Closed.status(), None);
        assert_eq!(Error::InvalidHeader("x").status(), None);
    }
}
