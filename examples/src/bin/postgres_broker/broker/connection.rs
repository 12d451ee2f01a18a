//! Layer: iostream.
//!
//! Connections to the server, on the loop.

use std::{future::poll_fn, time::Duration};

use iostream::{IOStream, TcpClient, spawn};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, config::Host};

use super::{failure::Error, options::PostgresOptions, query};

/// A session of the server, with the log in place.
pub struct Connection {
    client: Client,
    driver: iostream::JoinHandle<()>,
}

/// A server that says nothing for so long is gone. Statements take less, because the server is told to end them before.
const SILENCE: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `READ COMMITTED` lets a publication see those that it has waited for.
const SESSION: &str = "SET statement_timeout = '8s'; SET lock_timeout = '5s';
    SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off";

impl Connection {
    /// Connects. `heard` is called with the payload of each notification, and with `None` when the connection has ended.
    pub async fn open(options: &PostgresOptions, heard: impl Fn(Option<&str>) + 'static) -> Result<Connection, Error> {
        let connected = ioloop::timeout(CONNECT_TIMEOUT, connect(&options.config, heard));
        let connection = connected.await.map_err(|_| Error::Silent)??;
        answered(query::prepare_log(&connection.client, options)).await?;
        Ok(connection)
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The server may not be there to take leave of.
        self.driver.abort();
    }
}

/// The answer, unless it takes too long.
pub async fn answered<T, E: Into<Error>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    ioloop::timeout(SILENCE, answer).await.map_err(|_| Error::Silent)?.map_err(Into::into)
}

async fn connect(config: &Config, heard: impl Fn(Option<&str>) + 'static) -> Result<Connection, Error> {
    let stream = reach(config).await?;
    let (client, mut connection) = config.connect_raw(stream, NoTls).await?;
    let driver = spawn(async move {
        // What breaks it is told to whoever waits for an answer.
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                AsyncMessage::Notification(notification) => heard(Some(notification.payload())),
                AsyncMessage::Notice(notice) => log::debug!("PostgreSQL: {}", notice.message()),
                _ => {}
            }
        }
        heard(None);
    });
    let connection = Connection { client, driver };
    connection.client.batch_execute(SESSION).await?;
    Ok(connection)
}

/// The first of the hosts that can be reached.
async fn reach(config: &Config) -> Result<IOStream, Error> {
    let ports = config.get_ports();
    let port = |number: usize| ports.get(number).or(ports.first()).copied().unwrap_or(5432);
    let mut failure = None;
    for (number, host) in config.get_hosts().iter().enumerate() {
        match reach_host(host, port(number)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(reach_host(&Host::Tcp("localhost".into()), port(0)).await?),
    }
}

async fn reach_host(host: &Host, port: u16) -> iostream::Result<IOStream> {
    match host {
        Host::Unix(directory) => IOStream::connect_unix(directory.join(format!(".s.PGSQL.{port}"))).await,
        Host::Tcp(name) => {
            let stream = TcpClient::new().connect(name, port).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
    }
}
