use std::{rc::Rc, time::Duration};

use super::codec::DEFAULT_MAX_MESSAGE_SIZE;
use crate::origin::Origins;

/// What a WebSocket allows and how long it waits. A clone shares the settings, so that thousands of sockets hold one copy.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Exchange, websocket::WebSocketOptions};
///
/// async fn echo(exchange: &mut Exchange) -> web::Result<()> {
///     let options = WebSocketOptions::new()
///         .max_message_size(64 * 1024)
///         .ping_interval(Duration::from_secs(20))
///         .allow_origin("https://app.example.com");
///     let mut socket = exchange.websocket_with(&options).await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// In a program the options are made once, where the routes are, and moved into the handler.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are passed on"]
pub struct WebSocketOptions {
    settings: Rc<Settings>,
}

/// What happens to messages for a peer that reads more slowly than they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowReader {
    /// `send` waits until what was queued before has left: nothing is lost, and the peer slows its senders down. The
    /// default.
    #[default]
    Wait,
    /// `send` never waits for the peer. Of the messages that wait the oldest is dropped.
    DropOldest,
    /// `send` never waits for the peer. A message takes the place of one that still waits and has the same key
    /// ([`send_keyed`](super::WebSocketSender::send_keyed)); all that were sent without a key share one. When there are too
    /// many keys the oldest message is dropped. For states of which only the latest matters.
    Coalesce,
    /// The connection is ended, with 1008 for the code, when the queue is full. A client that comes back begins afresh.
    Disconnect,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_message_size: usize,
    pub(super) max_queue: usize,
    pub(super) slow_reader: SlowReader,
    /// `Duration::MAX` is never.
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Option<Duration>,
    pub(super) close_timeout: Duration,
    pub(super) origins: Origins,
    pub(super) subprotocols: Vec<String>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<super::codec::DeflateOptions>,
}

impl WebSocketOptions {
    /// The default of [`max_message_size`](WebSocketOptions::max_message_size): 10 MiB.
    pub const DEFAULT_MAX_MESSAGE_SIZE: usize = DEFAULT_MAX_MESSAGE_SIZE;
    /// The default of [`max_queue`](WebSocketOptions::max_queue): 64 KiB.
    pub const DEFAULT_MAX_QUEUE: usize = 64 * 1024;
    /// The default of [`ping_interval`](WebSocketOptions::ping_interval): 30 s.
    pub const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(30);
    /// The default of [`close_timeout`](WebSocketOptions::close_timeout): 5 s.
    pub const DEFAULT_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

    /// The default settings. They are made once per thread, so this allocates nothing.
    pub fn new() -> WebSocketOptions {
        thread_local! {
            static DEFAULTS: Rc<Settings> = {
                super::core::keep_until_ebb();
                Rc::new(Settings::default())
            };
        }
        // While the thread ends there may be none to share.
        let settings = DEFAULTS.try_with(Rc::clone).unwrap_or_default();
        WebSocketOptions { settings }
    }

    /// Limits messages that come in to `bytes`, all fragments together and decompressed; 10 MiB by default. A peer that
    /// sends a longer one is told 1009, and the connection ends. Memory is taken for what has come, not for what was
    /// announced.
    #[inline]
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_message_size = bytes)
    }

    /// Sets how many bytes may wait for a slow peer before [`slow_reader`](WebSocketOptions::slow_reader) applies; 64 KiB by
    /// default. Bytes that the kernel has taken do not count. One message may go beyond it.
    #[inline]
    pub fn max_queue(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_queue = bytes)
    }

    /// Sets what happens to messages for a peer that reads too slowly; [`SlowReader::Wait`] by default.
    #[inline]
    pub fn slow_reader(self, policy: SlowReader) -> Self {
        self.with(|settings| settings.slow_reader = policy)
    }

    /// Sets how often the peer is sent a ping; every 30 s by default. Pings keep proxies from closing the connection as idle,
    /// and find peers that have vanished. `Duration::MAX` turns them off.
    #[inline]
    pub fn ping_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.ping_interval = interval.max(Duration::from_millis(1)))
    }

    /// Sets how long after a ping the peer may stay silent; as long as the interval by default, and never longer. Any byte
    /// of it counts. Then the connection is closed, and receiving fails with
    /// [`Error::ClientGone`](crate::Error::ClientGone).
    #[inline]
    pub fn ping_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.ping_timeout = Some(timeout.max(Duration::from_millis(1))))
    }

    /// Sets how long the peer may take to answer a close frame, and to end its side; 5 s by default. Then the connection is
    /// cut.
    #[inline]
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.close_timeout = timeout)
    }

    /// Allows pages of `origin`, such as `https://app.example.com`, to connect, besides those of the server's own host. Call
    /// it once for each.
    ///
    /// # Panics
    ///
    /// When `origin` is not a scheme and a host, with a port or without: it could never match.
    #[track_caller]
    #[inline]
    pub fn allow_origin(self, origin: &str) -> Self {
        self.with(|settings| settings.origins.allow(origin))
    }

    /// Allows pages of every origin to connect. Any page that a user visits can then open a WebSocket in this user's name,
    /// cookies included: use it only where connections prove by something else who they are.
    #[inline]
    pub fn allow_any_origin(self) -> Self {
        self.with(|settings| settings.origins.allow_any())
    }

    /// Sets the subprotocols that the server speaks, or for a client those that it offers in the order of its preference. A
    /// server takes the first one of the client's list that it speaks. If there is none, the connection has no subprotocol.
    ///
    /// # Panics
    ///
    /// When a name is not a token of HTTP: it could not be sent.
    #[track_caller]
    #[inline]
    pub fn subprotocols(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        for name in &names {
            assert!(super::handshake::is_token(name.as_bytes()), "the subprotocol {name:?} is not a token of HTTP");
        }
        self.with(|settings| settings.subprotocols = names)
    }

    /// Compresses messages where the peer takes part (permessage-deflate, RFC 7692). Off by default: it costs CPU on both
    /// ends, and secrets must not stand in one message with text of an attacker's choice. An idle connection holds no memory
    /// for it, unless the options say otherwise.
    #[cfg(feature = "deflate")]
    #[inline]
    pub fn deflate(self, options: super::DeflateOptions) -> Self {
        self.with(|settings| settings.deflate = Some(options))
    }

    #[inline]
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    #[inline]
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Rc::make_mut(&mut self.settings));
        self
    }
}

impl Settings {
    /// How long after a ping the peer may be silent.
    #[inline]
    pub(super) fn ping_timeout(&self) -> Duration {
        self.ping_timeout.unwrap_or(self.ping_interval).min(self.ping_interval)
    }
}

impl Default for WebSocketOptions {
    #[inline]
    fn default() -> Self {
        WebSocketOptions::new()
    }
}

impl Default for Settings {
    #[inline]
    fn default() -> Self {
        Settings {
            max_message_size: WebSocketOptions::DEFAULT_MAX_MESSAGE_SIZE,
            max_queue: WebSocketOptions::DEFAULT_MAX_QUEUE,
            slow_reader: SlowReader::Wait,
            ping_interval: WebSocketOptions::DEFAULT_PING_INTERVAL,
            ping_timeout: None,
            close_timeout: WebSocketOptions::DEFAULT_CLOSE_TIMEOUT,
            origins: Origins::default(),
            subprotocols: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }
}
