use std::{sync::Arc, time::Duration};

use http::StatusCode;

/// What can go wrong between a client, this server and a service.
///
/// Errors a client caused have a [`status`](Error::status). The server sends it and closes the connection, because the
/// next message may begin anywhere after one that could not be understood.
///
/// An error says whose connection failed. [`Closed`](Error::Closed), [`Connection`](Error::Connection),
/// [`WriteTimeout`](Error::WriteTimeout) and [`WriteTooSlow`](Error::WriteTooSlow) speak of the client's, made by this
/// crate alone. An [`iostream::Error`] that a service passes on with `?` speaks of a stream of the service's own, and
/// becomes [`Stream`](Error::Stream).
///
/// Cloneable, because the first failure of a body is repeated by every later read.
#[derive(Debug, Clone, thiserror::Error)]
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

    /// The body, or the whole request, arrived too slowly: less than
    /// [`Limits::min_body_rate`](crate::Limits::min_body_rate), or not within
    /// [`Limits::request_timeout`](crate::Limits::request_timeout). Answered 408.
    #[error("request body too slow")]
    BodyTooSlow,

    /// The client ended its input in the middle of the body. It may still read. Answered 400.
    #[error("request body incomplete")]
    IncompleteBody,

    /// The client took no byte of the answer for [`Limits::write_timeout`](crate::Limits::write_timeout).
    #[error("client read nothing for {0:?}")]
    WriteTimeout(Duration),

    /// The client took less of the answer than [`Limits::min_write_rate`](crate::Limits::min_write_rate) asks for.
    #[error("client reads too slowly")]
    WriteTooSlow,

    /// The client's connection is closed: the client left, it was reset, or the server cut it.
    #[error("connection closed by the client")]
    Closed,

    /// The client's connection failed in another way.
    #[error("connection to the client: {0}")]
    Connection(#[source] iostream::Error),

    /// A stream of the service's own failed, such as the connection to an upstream server or a database. Answered 500 and
    /// logged; a proxy answers 502.
    #[error(transparent)]
    Stream(#[from] iostream::Error),

    /// Anything else that a service met, made by [`Error::other`]. Answered 500 and logged.
    #[error(transparent)]
    Other(Arc<dyn std::error::Error + Send + Sync>),

    /// The writer of a body was dropped before the body's end; see [`Body::channel`](crate::Body::channel).
    #[error("the body was broken off by its writer")]
    BodyBroken,

    /// The request cannot be upgraded: it did not ask for another protocol, or its body has not been read to the end.
    /// Answered 400. A service that offers nothing else answers 426 with an `Upgrade` header of its own (RFC 9110
    /// 15.5.22).
    #[error("the request cannot be upgraded")]
    NotUpgradable,

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
    /// Any error of a service, to be passed on with `?` or by a [`BodyStream`](crate::BodyStream).
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Other(Arc::from(error.into()))
    }

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
            Error::IncompleteBody => StatusCode::BAD_REQUEST,
            Error::HeaderTimeout(_) | Error::BodyTimeout(_) | Error::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Error::NotUpgradable => StatusCode::BAD_REQUEST,
            Error::WriteTimeout(_)
            | Error::WriteTooSlow
            | Error::Closed
            | Error::Connection(_)
            | Error::Stream(_)
            | Error::Other(_)
            | Error::BodyBroken
            | Error::InvalidHeader(_)
            | Error::ContentLengthMismatch { .. }
            | Error::AlreadyTaken(_)
            | Error::BadResponse(_) => return None,
        })
    }

    /// Whether a time-out or a minimum rate of [`Limits`](crate::Limits) ended it.
    pub fn is_timeout(&self) -> bool {
        use Error::*;
        matches!(self, HeaderTimeout(_) | BodyTimeout(_) | BodyTooSlow | WriteTimeout(_) | WriteTooSlow)
    }

    /// Whether there is nobody to answer any more: the client has gone, or takes nothing.
    pub fn is_client_gone(&self) -> bool {
        matches!(self, Error::Closed | Error::Connection(_) | Error::WriteTimeout(_) | Error::WriteTooSlow)
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
