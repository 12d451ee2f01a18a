//! What can go wrong while a request is answered, and what the client is told.

use std::{any::Any, borrow::Cow, error::Error as StdError, fmt};

use httpserver::{Method, StatusCode};

use crate::input::Source;

/// Why a handler could not answer. Each error has a [status](Error::status) and a [text for the client](Error::message);
/// its `Display` is the text for the log, which may say more.
///
/// Any `std::error::Error` converts into it, so `?` works on everything a handler calls. Such an error is the server's
/// fault: the client sees a bare 500, the log the error. (For that conversion to exist, `Error` itself cannot implement
/// `std::error::Error`; it converts into `Box<dyn std::error::Error>` instead.)
///
/// # Examples
///
/// ```
/// use web::{Error, Exchange, StatusCode};
///
/// async fn show(exchange: &mut Exchange) -> web::Result<()> {
///     let text = std::fs::read_to_string("note.txt")?; // an io::Error is a 500
///     if text.is_empty() {
///         return Err(Error::http(StatusCode::NOT_FOUND, "There is no note yet"));
///     }
///     exchange.write_text(text);
///     Ok(())
/// }
/// ```
#[non_exhaustive]
pub enum Error {
    /// A status chosen by the handler.
    Http(HttpError),
    /// The request lacks an argument, a header or a cookie that the handler asked for. 400.
    MissingArgument {
        /// What it is.
        source: Source,
        /// Its name, as the handler gave it.
        name: Box<str>,
    },
    /// An argument, a header or a cookie is there, but is not UTF-8 or does not parse as the type the handler asked for. 400.
    InvalidArgument {
        /// What it is.
        source: Source,
        /// Its name.
        name: Box<str>,
        /// What is wrong with it, without repeating the value.
        reason: Box<str>,
    },
    /// More than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS) arguments in one query or form. 400.
    TooManyArguments,
    /// The body is not of the media type the handler asked for. 415.
    UnsupportedMediaType {
        /// The media type expected, for example `application/json`.
        expected: &'static str,
    },
    /// The body is not the JSON that the handler asked for. 400 if it is not JSON, 422 if it is JSON of something else. The
    /// client is told where, and what was expected there; only the log may repeat what was sent instead.
    #[cfg(feature = "json")]
    InvalidJson(serde_json::Error),
    /// A cookie whose name, value or attributes cannot be sent. 500: the handler's mistake, or text from outside that it
    /// did not check.
    #[cfg(feature = "cookies")]
    InvalidCookie {
        /// The cookie's name.
        name: String,
        /// Which part of it is wrong.
        reason: &'static str,
    },
    /// A [session](crate::security::Session) would become longer than there is room for. 500: the handler's mistake, or text
    /// from outside that it did not check.
    #[cfg(feature = "sessions")]
    SessionTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// A redirect that cannot be sent, for the reason given. 500, as for cookies.
    InvalidRedirect(&'static str),
    /// A URL that cannot be made: no route has the name, or its parameters cannot have these values. 500: the handler's
    /// mistake, or a value from outside that it did not check.
    InvalidUrl {
        /// The route's name, as the handler gave it.
        route: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event of an [event stream](crate::event_stream) that cannot be sent, for the reason given: text from outside became
    /// its name or its id, and was not checked. 500.
    InvalidEvent(&'static str),
    /// A channel of a [hub](crate::comet::Hub) cannot have this name, for the reason given. 400: names often come from clients.
    #[cfg(feature = "comet")]
    InvalidChannel(&'static str),
    /// A message is longer than its [hub](crate::comet::Hub) takes. 413.
    #[cfg(feature = "comet")]
    MessageTooLarge {
        /// In bytes of JSON.
        limit: usize,
    },
    /// A [hub](crate::comet::Hub) has as many channels, or a channel as many subscribers, as it may have. 503.
    #[cfg(feature = "comet")]
    HubFull(&'static str),
    /// The [broker](crate::comet::broker::Broker) of a hub failed: a message was not published, or it is not known whether it was. 503.
    #[cfg(feature = "comet")]
    Broker(Box<dyn StdError>),
    /// A template is missing, malformed, or could not be filled in. 500; the log has the template, the line and the causes.
    #[cfg(feature = "templates")]
    Template(minijinja::Error),
    /// [`render`](crate::Exchange::render) was called in an application without templates. 500.
    #[cfg(feature = "templates")]
    MissingTemplates,
    /// The head of the response has been sent already; status and headers cannot change any more. 500.
    HeadSent,
    /// The response is finished, by [`finish`](crate::Exchange::finish) or [`redirect`](crate::Exchange::redirect); status
    /// and headers cannot change any more. 500.
    Finished,
    /// A method of a [`RequestHandler`](crate::RequestHandler) was called that its type does not implement. 500.
    Unimplemented {
        /// The method.
        method: Method,
        /// The name of the handler's type.
        handler: &'static str,
    },
    /// The client went away before there was an answer. Not logged as an error: it is no fault of the server.
    ClientGone,
    /// The layer below failed: a body that is too large, broken or too slow, a header that cannot be sent, a connection
    /// that broke. Its own status, or 500.
    Server(httpserver::Error),
    /// Something was to be sent on a WebSocket that is closing or closed. Not logged as an error: a peer may leave at any
    /// time.
    #[cfg(feature = "websocket")]
    WebSocketClosed,
    /// The peer of a WebSocket has broken the protocol, or has sent a message that is too long. It has been told so. Not
    /// logged as an error, because it is the peer's.
    #[cfg(feature = "websocket")]
    WebSocketProtocol(crate::websocket::codec::ProtocolError),
    /// A [`connect`](crate::websocket::connect) was answered by something else than a WebSocket: another status than 101, with
    /// its headers and its body.
    #[cfg(feature = "websocket")]
    WebSocketRefused(Box<httpserver::client::ClientResponse>),
    /// A [`connect`](crate::websocket::connect) cannot begin, because its URL or a header is invalid; or the server's answer
    /// is not that to the handshake, for the reason given. 500.
    #[cfg(feature = "websocket")]
    WebSocketHandshake(&'static str),
    /// The handler panicked. 500.
    Panicked {
        /// The panic's message, if it had one.
        message: String,
    },
    /// Any other error. 500.
    Other(Box<dyn StdError>),
}

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An answer with `status` that tells the client `message`.
    pub fn http(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Error {
        HttpError::new(status).message(message).into()
    }

    /// The status that the client gets. For a client that has gone away it is 499, which only the log sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Http(error) => error.status,
            Error::MissingArgument { .. } | Error::InvalidArgument { .. } | Error::TooManyArguments => {
                StatusCode::BAD_REQUEST
            }
            #[cfg(feature = "json")]
            Error::InvalidJson(error) if error.is_data() => StatusCode::UNPROCESSABLE_ENTITY,
            #[cfg(feature = "json")]
            Error::InvalidJson(_) => StatusCode::BAD_REQUEST,
            Error::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            #[cfg(feature = "comet")]
            Error::InvalidChannel(_) => StatusCode::BAD_REQUEST,
            #[cfg(feature = "comet")]
            Error::MessageTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            #[cfg(feature = "comet")]
            Error::HubFull(_) | Error::Broker(_) => StatusCode::SERVICE_UNAVAILABLE,
            #[cfg(feature = "websocket")]
            Error::WebSocketProtocol(_) => StatusCode::BAD_REQUEST,
            error if error.is_client_gone() => client_closed_request(),
            Error::Server(error) => error.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The text that the client may see. For the server's own faults this is no more than the name of the status. It repeats
    /// nothing that the client has sent, but for what the handler itself put into an [`HttpError`]; an HTML page escapes it
    /// all the same.
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            Error::Http(error) => Cow::Borrowed(error.text_for_client().unwrap_or(reason(error.status))),
            #[cfg(feature = "json")]
            Error::InvalidJson(error) => Cow::Owned(format!("Invalid JSON: {}", json_fault(error))),
            error if error.status().is_client_error() => Cow::Owned(error.to_string()),
            error => Cow::Borrowed(reason(error.status())),
        }
    }

    /// Whether the connection went away, so that no answer can reach the client.
    pub fn is_client_gone(&self) -> bool {
        match self {
            Error::ClientGone => true,
            #[cfg(feature = "websocket")]
            Error::WebSocketClosed => true,
            Error::Server(error) => error.is_client_gone(),
            _ => false,
        }
    }

    #[cold]
    pub(crate) fn missing(source: Source, name: &str) -> Error {
        Error::MissingArgument { source, name: name.into() }
    }

    #[cold]
    pub(crate) fn invalid(source: Source, name: &str, reason: &str) -> Error {
        Error::InvalidArgument { source, name: name.into(), reason: reason.into() }
    }

    /// An error of the layer below; what a client's arguments lack is the same here as there.
    fn from_server(error: httpserver::Error) -> Error {
        match error {
            httpserver::Error::TooManyArguments { .. } => Error::TooManyArguments,
            httpserver::Error::InvalidArgument { name } => Error::invalid(Source::Argument, &name, "it is not UTF-8"),
            error => Error::Server(error),
        }
    }

    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Error {
        let message = if let Some(text) = payload.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = payload.downcast_ref::<String>() {
            text.clone()
        } else {
            "without a message".to_owned()
        };
        Error::Panicked { message }
    }

    /// Whether the log can say more than the access log's line does.
    pub(crate) fn has_detail(&self) -> bool {
        match self {
            Error::Http(error) => error.text_for_log().is_some(),
            _ => true,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Http(error) => error.fmt(f),
            Error::MissingArgument { source, name } => write!(f, "Missing {source} {name}"),
            Error::InvalidArgument { source, name, reason } => write!(f, "Invalid {source} {name}: {reason}"),
            Error::TooManyArguments => write!(f, "Too many arguments"),
            Error::UnsupportedMediaType { expected } => write!(f, "Expected {expected}"),
            #[cfg(feature = "json")]
            Error::InvalidJson(error) => write!(f, "Invalid JSON: {error}"),
            #[cfg(feature = "cookies")]
            Error::InvalidCookie { name, reason } => write!(f, "Invalid cookie {name:?}: {reason}"),
            #[cfg(feature = "sessions")]
            Error::SessionTooLarge { limit } => write!(f, "A session is longer than {limit} bytes"),
            Error::InvalidRedirect(reason) => write!(f, "Invalid redirect: {reason}"),
            Error::InvalidUrl { route, reason } => write!(f, "No URL for the route {route:?}: {reason}"),
            #[cfg(feature = "comet")]
            Error::InvalidChannel(reason) => write!(f, "Invalid channel: {reason}"),
            #[cfg(feature = "comet")]
            Error::MessageTooLarge { limit } => write!(f, "A message is longer than {limit} bytes"),
            #[cfg(feature = "comet")]
            Error::HubFull(reason) => write!(f, "The hub is full: {reason}"),
            #[cfg(feature = "comet")]
            Error::Broker(error) => write!(f, "The broker failed: {error}"),
            Error::InvalidEvent(reason) => write!(f, "Invalid event: {reason}"),
            #[cfg(feature = "templates")]
            Error::Template(error) => write_chain(f, error),
            #[cfg(feature = "templates")]
            Error::MissingTemplates => write!(f, "The application has no templates"),
            Error::HeadSent => write!(f, "The head of the response has already been sent"),
            Error::Finished => write!(f, "The response is already finished"),
            Error::Unimplemented { method, handler } => {
                write!(f, "{handler} does not implement {method}")
            }
            Error::ClientGone => write!(f, "The client went away"),
            Error::Server(error) => error.fmt(f),
            #[cfg(feature = "websocket")]
            Error::WebSocketClosed => write!(f, "The WebSocket is closed"),
            #[cfg(feature = "websocket")]
            Error::WebSocketProtocol(error) => write!(f, "The peer broke the WebSocket protocol: {error}"),
            #[cfg(feature = "websocket")]
            Error::WebSocketRefused(response) => {
                write!(f, "The server refused the WebSocket with {}", response.status())
            }
            #[cfg(feature = "websocket")]
            Error::WebSocketHandshake(reason) => write!(f, "The WebSocket handshake failed: {reason}"),
            Error::Panicked { message } => write!(f, "The handler panicked: {message}"),
            Error::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Other(error) => fmt::Debug::fmt(error, f),
            error => write!(f, "{} ({})", error, error.status()),
        }
    }
}

impl<E: StdError + 'static> From<E> for Error {
    #[cfg_attr(feature = "debug", track_caller)]
    fn from(error: E) -> Error {
        let boxed: Box<dyn StdError> = Box::new(error);
        #[cfg(feature = "debug")]
        crate::debug::note_origin(&*boxed);
        match boxed.downcast::<httpserver::Error>() {
            Ok(error) => Error::from_server(*error),
            Err(other) => Error::Other(other),
        }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Error {
        Error::Http(error)
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Box<dyn StdError> {
        match error {
            Error::Other(error) => error,
            Error::Server(error) => Box::new(error),
            error => error.to_string().into(),
        }
    }
}

/// A status to answer with, and optionally what to tell the client and what to tell the log.
///
/// # Examples
///
/// ```
/// use web::{Exchange, HttpError, StatusCode};
///
/// async fn secret(exchange: &mut Exchange) -> web::Result<()> {
///     Err(HttpError::new(StatusCode::FORBIDDEN)
///         .message("Members only")
///         .log("no session")
///         .into())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an error answers nothing unless it is returned"]
pub struct HttpError {
    status: StatusCode,
    /// Boxed, because every result of every handler has room for an error.
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default)]
struct Details {
    message: Option<Cow<'static, str>>,
    log: Option<Cow<'static, str>>,
    headers: Vec<(&'static str, String)>,
}

impl HttpError {
    /// An answer with `status`; the client is told its name, as in `404: Not Found`.
    pub fn new(status: StatusCode) -> HttpError {
        HttpError { status, details: None }
    }

    /// What the client is told instead of the status' name. Escaped where it stands in HTML.
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> HttpError {
        self.details.get_or_insert_default().message = Some(message.into());
        self
    }

    /// What the log is told; the client never sees it.
    #[inline]
    pub fn log(mut self, text: impl Into<Cow<'static, str>>) -> HttpError {
        self.details.get_or_insert_default().log = Some(text.into());
        self
    }

    /// A header of the answer, such as `WWW-Authenticate` or `Retry-After`. What the handler had set before is dropped with
    /// the rest of its response. If it cannot be sent, the answer is a plain 500.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> HttpError {
        let details = self.details.get_or_insert_default();
        details.headers.push((name, value.into()));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &[(&'static str, String)] {
        self.details.as_ref().map_or(&[], |details| &details.headers)
    }

    fn text_for_client(&self) -> Option<&str> {
        self.details.as_ref()?.message.as_deref()
    }

    fn text_for_log(&self) -> Option<&str> {
        self.details.as_ref()?.log.as_deref().or(self.text_for_client())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text_for_log().unwrap_or(reason(self.status)))
    }
}

/// An error and its causes, the innermost last: of a template, that which stands in another one's include.
#[cfg(feature = "templates")]
#[inline]
fn write_chain(f: &mut fmt::Formatter<'_>, error: &dyn StdError) -> fmt::Result {
    write!(f, "{error}")?;
    error.source().map_or(Ok(()), |cause| {
        write!(f, ": ")?;
        write_chain(f, cause)
    })
}

/// What is wrong with JSON, without what was sent. The texts of serde_json repeat values and names; what they expected, and
/// where, stands at their end and is the program's own.
#[cfg(feature = "json")]
#[cold]
fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() || text.starts_with("missing field") {
        return text;
    }
    // By bytes: a search for a text in a `str` is long to build.
    let comma = text.as_bytes().windows(11).rposition(|part| part == b", expected ");
    match comma.map(|at| &text[at + 2..]) {
        Some(end) if !end.contains(['<', '>', '&', '"', '\'']) => end.to_owned(),
        _ => format!("not what was expected at line {} column {}", error.line(), error.column()),
    }
}

/// The name of a status, as in `Not Found`.
pub(crate) fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Unknown")
}

/// 499, the status which servers log for a client that did not wait. It is never meant to be read by anyone.
pub(crate) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_errors_are_500_and_not_shown() {
        let error = Error::from("x".parse::<u32>().unwrap_err());
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(error.message(), "Internal Server Error");
        assert_eq!(error.to_string(), "invalid digit found in string");
    }

    #[test]
    fn the_clients_faults_are_explained_to_it() {
        let error = Error::missing(Source::Argument, "q");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.message(), "Missing argument q");
    }

    #[test]
    fn broken_connections_are_nobodys_fault() {
        let error = Error::from(httpserver::Error::Closed);
        assert!(error.is_client_gone());
        assert_eq!(error.status().as_u16(), 499);
        let error = Error::from(httpserver::Error::BodyTooLarge { limit: 1 });
        assert!(!error.is_client_gone());
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn the_log_text_stays_in_the_log() {
        let error = Error::from(HttpError::new(StatusCode::FORBIDDEN).log("no session"));
        assert_eq!(error.message(), "Forbidden");
        assert_eq!(error.to_string(), "no session");
    }
}
