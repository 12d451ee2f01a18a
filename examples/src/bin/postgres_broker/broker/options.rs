//! Layer: web.

use std::{fmt, rc::Rc, time::Duration};

use tokio_postgres::Config;

use super::{PostgresBroker, failure::Failure};

/// Which database a [`PostgresBroker`] uses, and how.
///
/// All hubs that share messages should have the same options.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    pub(super) max_messages: i32,
    pub(super) max_age: Duration,
    pub(super) publish_timeout: Duration,
}

impl PostgresOptions {
    /// A database by its URL, `postgres://user:password@host:port/name`, or by words, `host=/run/postgresql user=app dbname=shop`;
    /// with the defaults that the methods name.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn new(database: &str) -> web::Result<PostgresOptions> {
        let config = database.parse().map_err(|error| Failure::NoDatabase(Rc::new(error)).into_error())?;
        Ok(PostgresOptions {
            config,
            max_messages: 1000,
            max_age: Duration::from_secs(3600),
            publish_timeout: Duration::from_secs(5),
        })
    }

    /// How many messages of a channel the log keeps at least, unless they are older than that. 1,000 and an hour by default. It
    /// keeps up to a quarter more, because that is cheaper.
    ///
    /// This bounds how long a hub may be without its database and how far back the clients of a hub may come that has just been
    /// started. Those who come later are told that they have missed something.
    #[must_use]
    pub fn history(mut self, messages: i32, age: Duration) -> Self {
        (self.max_messages, self.max_age) = (messages.max(1), age.max(Duration::from_secs(1)));
        self
    }

    /// How long a publication waits for a connection; 5 s by default.
    #[must_use]
    pub fn publish_timeout(mut self, wait: Duration) -> Self {
        self.publish_timeout = wait;
        self
    }

    /// The broker. It connects in the background: a database that cannot be reached now may be reached later.
    pub fn connect(self) -> PostgresBroker {
        PostgresBroker::new(self)
    }
}

/// It may have a password, which is not shown.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresOptions")
    }
}
