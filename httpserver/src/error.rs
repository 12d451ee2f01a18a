use std::{sync::Arc, time::Duration};

use http::StatusCode;

/// The error of this crate: of a client's message, of its connection, or of a service.
///
/// An error that the client caused has a [`status`](Error::status). The server answers with it and closes the connection,
/// because nobody can tell where the next message begins behind one that could not be understood.
///
/// Two kinds of connection can fail, and the variants keep them apart. [`Closed`](Error::Closed),
/// [`Connection`](Error::Connection), [`WriteTimeout`](Error::WriteTimeout) and [`WriteTooSlow`](Error::WriteTooSlow) are
/// about the client's connection, and only this crate makes them. An [`iostream::Error`] that a service passes on with `?`
/// is about a stream of the service's own, and becomes [`Stream`](Error::Stream).
///
/// The error is `Clone`, because every later read of a failed body returns the first failure again. It takes 24 bytes.
///
/// # Examples
///
/// ```
/// use httpserver::{Error, IOLoop, Request, StatusCode};
///
/// let mut request = Request::builder().body("twelve bytes").build()?;
/// let error = IOLoop::current().run_sync(request.body_mut().bytes(5)).unwrap_err();
/// assert!(matches!(error, Error::BodyTooLarge { limit: 5 }));
/// assert_eq!(error.status(), Some(StatusCode::PAYLOAD_TOO_LARGE));
/// # Ok::<_, Error>(())
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message breaks the grammar of HTTP/1.1, its end is ambiguous, or its body is not what its head says it is.
    /// Usually caused by a broken client, by another protocol on this port, or by an attempt at request smuggling.
    /// Answered 400.
    #[error("bad request: {0}")]
    BadRequest(&'static str),

    /// The request target is longer than [`Limits::max_target`](crate::Limits::max_target). Answered 414.
    #[error("request target longer than {limit} bytes")]
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },

    /// The head of the request, or the trailers of a chunked body, are longer than
    /// [`Limits::max_head`](crate::Limits::max_head). Answered 431.
    #[error("message head longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },

    /// The head has more header lines than [`Limits::max_headers`](crate::Limits::max_headers). Answered 431.
    #[error("more than {limit} header lines")]
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },

    /// The body is longer than its limit, or its Content-Length says so. The limit is
    /// [`Limits::max_body`](crate::Limits::max_body), one set by [`Body::limit`](crate::Body::limit), or the one given to
    /// [`Body::bytes`](crate::Body::bytes). Answered 413.
    #[error("body longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },

    /// A part of a form is longer than allowed by `FormLimits`, or by the limit given to `Part::bytes`, of the feature
    /// `multipart`. The text names the part if its name is plain, and says how long it may be. Answered 413.
    #[error("{0}")]
    PartTooLarge(Arc<str>),

    /// A query or a form has more arguments than allowed, [`MAX_ARGUMENTS`](crate::httputil::MAX_ARGUMENTS) by default.
    /// Answered 400.
    #[error("more than {limit} arguments")]
    TooManyArguments {
        /// The limit in arguments.
        limit: usize,
    },

    /// The value of an argument of a query or a form, or its name, is not UTF-8. Answered 400.
    #[error("argument {name:?} is not UTF-8")]
    InvalidArgument {
        /// The name of the argument; `name` where it is the name, and `value` where any argument was asked for.
        name: Box<str>,
    },

    /// The body has a media type or a content coding that cannot be read here. The text says which. Answered 415.
    #[error("unsupported media type: {0}")]
    UnsupportedMediaType(&'static str),

    /// The request has an `Expect` other than `100-continue`. Answered 417.
    #[error("unknown expectation")]
    ExpectationFailed,

    /// The request needs something that this server does not implement, such as a transfer coding. Answered 501.
    #[error("not implemented: {0}")]
    NotImplemented(&'static str),

    /// The request has another major version of HTTP than 1. Answered 505.
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

    /// The client ended its input in the middle of the body, and may still read. Answered 400.
    #[error("request body incomplete")]
    IncompleteBody,

    /// The client took no byte of the answer for [`Limits::write_timeout`](crate::Limits::write_timeout).
    #[error("client read nothing for {0:?}")]
    WriteTimeout(Duration),

    /// The client took the answer more slowly than [`Limits::min_write_rate`](crate::Limits::min_write_rate).
    #[error("client reads too slowly")]
    WriteTooSlow,

    /// The client's connection is closed: the client left, the connection was reset, or a drain cut it.
    #[error("connection closed by the client")]
    Closed,

    /// The client's connection failed in another way; the source says how.
    #[error("connection to the client: {0}")]
    Connection(#[source] Arc<iostream::Error>),

    /// A stream of the service's own failed, such as the connection to an upstream server or a database. Answered 500 and
    /// logged. A proxy should answer 502 instead.
    #[error(transparent)]
    Stream(Arc<iostream::Error>),

    /// Any other error of a service, made by [`Error::other`]. Answered 500 and logged.
    #[error(transparent)]
    Other(Arc<dyn std::error::Error + Send + Sync>),

    /// The [`BodyWriter`](crate::BodyWriter) was dropped before it had finished the body. The client sees the connection
    /// end in the middle of the answer.
    #[error("the body was broken off by its writer")]
    BodyBroken,

    /// The request cannot be upgraded: it did not ask for another protocol, or its body has not been read to the end.
    /// Answered 400. A service that speaks nothing but the other protocol should answer 426 with an `Upgrade` header instead
    /// (RFC 9110 15.5.22).
    #[error("the request cannot be upgraded")]
    NotUpgradable,

    /// A header line cannot be sent: its name is no token, its value has a control character, or the line belongs to the
    /// server. The text says which. Usually a value was built from unchecked input.
    #[error("invalid header: {0}")]
    InvalidHeader(&'static str),

    /// The body of a streamed response is longer or shorter than its announced Content-Length. The connection ends in the
    /// middle of the answer.
    #[error("response of {announced} bytes announced, {written} written")]
    ContentLengthMismatch {
        /// The Content-Length sent with the head.
        announced: u64,
        /// The bytes that were written, including the piece that was refused.
        written: u64,
    },

    /// The body is no longer there: its request has been answered, or its receiver was dropped. Usually a request, a body
    /// or a writer was kept for longer than its answer.
    #[error("{0} already taken")]
    AlreadyTaken(&'static str),

    /// Another server sent a response that is malformed or longer than allowed. It is not the client's fault, so it has no
    /// status. A service that returns it answers 500; a proxy should answer 502 instead.
    #[error("bad response: {0}")]
    BadResponse(&'static str),

    /// Another server did not answer in time, or took a request or sent its response too slowly; the text says which. It
    /// is not the client's fault, so it has no status. A service that returns it answers 500; a proxy should answer 504
    /// instead.
    #[error("the server {0}")]
    ServerTimeout(&'static str),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps any error of a service, to return it with `?` or from a [`BodyStream`](crate::BodyStream). One allocation.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Other(Arc::from(error.into()))
    }

    /// Names come from the client, and an error's text goes into an answer.
    #[cfg(feature = "multipart")]
    #[cold]
    #[inline]
    pub(crate) fn part_too_large(name: &str, limit: u64) -> Error {
        let is_plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b));
        Error::PartTooLarge(Arc::from(match is_plain {
            true => format!("part {name} longer than {limit} bytes"),
            false => format!("part longer than {limit} bytes"),
        }))
    }

    #[cold]
    pub(crate) fn connection(error: iostream::Error) -> Error {
        Error::Connection(Arc::new(error))
    }

    /// Returns the status that answers this error; `None` if the fault is not the client's, or if there is nobody to answer.
    pub fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Error::BadRequest(_) | Error::TooManyArguments { .. } | Error::InvalidArgument { .. } => {
                StatusCode::BAD_REQUEST
            }
            Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Error::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Error::HeadTooLarge { .. } | Error::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::BodyTooLarge { .. } | Error::PartTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
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
            | Error::BadResponse(_)
            | Error::ServerTimeout(_) => return None,
        })
    }

    /// Returns whether a time-out or a minimum rate of [`Limits`](crate::Limits) was the reason.
    pub fn is_timeout(&self) -> bool {
        use Error::*;
        matches!(
            self,
            HeaderTimeout(_) | BodyTimeout(_) | BodyTooSlow | WriteTimeout(_) | WriteTooSlow | ServerTimeout(_)
        )
    }

    /// Returns whether there is nobody to answer any more: the client has gone, or takes nothing.
    pub fn is_client_gone(&self) -> bool {
        matches!(self, Error::Closed | Error::Connection(_) | Error::WriteTimeout(_) | Error::WriteTooSlow)
    }
}

impl From<iostream::Error> for Error {
    #[cold]
    fn from(error: iostream::Error) -> Error {
        Error::Stream(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every result of a read and every error of a handler has it inside.
    #[test]
    fn an_error_is_small() {
        assert!(size_of::<Error>() <= 24);
    }

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
