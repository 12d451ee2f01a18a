use std::{error::Error as StdError, fmt, sync::Arc};

use redis::RedisError;

use crate::error::Error;

/// Why a publication failed. Those that were sent together fail by the same cause.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    NoUrl(Arc<RedisError>),
    /// Not within the time-out.
    NotConnected(Arc<RedisError>),
    /// The server said so.
    Refused(Arc<RedisError>),
    /// No answer came.
    Unknown(Arc<RedisError>),
    TooMany,
    Closed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoUrl(error) => write!(f, "not the URL of a Redis server: {error}"),
            Failure::NotConnected(error) => write!(f, "Redis cannot be reached, nothing was published: {error}"),
            Failure::Refused(error) => write!(f, "Redis refused the message: {error}"),
            Failure::Unknown(error) => write!(f, "Redis did not answer, the message may have been published: {error}"),
            Failure::TooMany => f.write_str("too many messages wait for Redis"),
            Failure::Closed => f.write_str("the broker has gone"),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Failure::NoUrl(error)
            | Failure::NotConnected(error)
            | Failure::Refused(error)
            | Failure::Unknown(error) => Some(&**error),
            Failure::TooMany | Failure::Closed => None,
        }
    }
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        Error::Broker(Box::new(self))
    }
}
