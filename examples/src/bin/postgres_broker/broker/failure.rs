//! Layer: web.

use std::{error, fmt, rc::Rc};

use tokio_postgres::error::SqlState;

/// Why a publication failed. Those that were sent together fail by the same cause.
#[derive(Clone, Debug)]
pub enum Failure {
    NoDatabase(Rc<tokio_postgres::Error>),
    /// Not within the time-out.
    NotConnected(Rc<Error>),
    /// The server said so.
    Refused(Rc<Error>),
    /// No answer came, nor could it be found out.
    Unknown(Rc<Error>),
    TooMany,
}

/// What went wrong between here and the server.
#[derive(Debug)]
pub enum Error {
    NotReached(iostream::Error),
    /// The server says no, or the connection broke.
    Server(tokio_postgres::Error),
    /// No answer came in time.
    Silent,
    /// A statement had no result, because somebody has emptied a table.
    Empty,
}

impl Failure {
    pub fn into_error(self) -> web::Error {
        web::Error::Broker(Box::new(self))
    }
}

impl Error {
    /// Whether the server has said no for good: the same again would be refused again.
    ///
    /// It may also say that it is shutting down, that a lock took too long, or that the log is not there. All of that is over
    /// at another attempt.
    pub fn is_refusal(&self) -> bool {
        const PASSING: [&str; 5] = ["08", "40", "53", "55", "57"];
        const NO_LOG: [SqlState; 4] = [
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_FUNCTION,
            SqlState::INVALID_SCHEMA_NAME,
            SqlState::UNDEFINED_OBJECT,
        ];
        let Error::Server(error) = self else { return false };
        error.code().is_some_and(|code| !NO_LOG.contains(code) && !PASSING.contains(&&code.code()[..2]))
    }

    /// Whether a lock could not be had.
    pub fn is_lock(&self) -> bool {
        matches!(self, Error::Server(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// Whether the log says that it has forgotten too much to tell.
    pub fn is_untold(&self) -> bool {
        matches!(self, Error::Server(error) if error.code().is_some_and(|code| code.code() == "WS001"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoDatabase(error) => write!(f, "not the URL of a database: {error}"),
            Failure::NotConnected(error) => write!(f, "PostgreSQL cannot be reached, nothing was published: {error}"),
            Failure::Refused(error) => write!(f, "PostgreSQL refused the message: {error}"),
            Failure::Unknown(error) => {
                write!(f, "PostgreSQL did not answer, the message may have been published: {error}")
            }
            Failure::TooMany => f.write_str("too many messages wait for PostgreSQL"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotReached(error) => error.fmt(f),
            Error::Server(error) => match error.as_db_error() {
                Some(said) => write!(f, "{} ({})", said.message(), said.code().code()),
                None => error.fmt(f),
            },
            Error::Silent => f.write_str("it is silent"),
            Error::Empty => f.write_str("the log has no epoch"),
        }
    }
}

impl error::Error for Failure {}

impl error::Error for Error {}

impl From<iostream::Error> for Error {
    fn from(error: iostream::Error) -> Error {
        Error::NotReached(error)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        Error::Server(error)
    }
}
