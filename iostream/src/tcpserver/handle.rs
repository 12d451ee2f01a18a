use std::{fmt, future::Future, net::SocketAddr, rc::Rc, time::Duration};

use super::state::ServerState;

/// How long a drain waits for the handlers of connections that it has cut.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// A running server, whatever its handler: what it listens on, what it serves, and its end.
///
/// Cloning it is cheap, and all clones and all handles of one server stand for the same server. Dropping them does not
/// stop it.
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, IOStream, TcpServer};
/// use std::time::Duration;
///
/// let server = TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await);
/// let handle = server.listen(("127.0.0.1", 0))?;
/// IOLoop::current().run_sync(async {
///     let stream = IOStream::connect(handle.local_addr()).await?;
///     assert_eq!(stream.read_until(b"\n").await?, "hello\n");
///     let report = handle.drain(Duration::from_secs(10)).await;
///     assert_eq!(report.cut, 0);
///     Ok::<_, iostream::Error>(())
/// })?;
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    state: Rc<ServerState>,
    local_addr: SocketAddr,
}

/// What a drain did; see [`ServerHandle::drain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that ended by themselves.
    pub finished: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

impl ServerHandle {
    #[inline]
    pub(super) fn new(state: &Rc<ServerState>, local_addr: SocketAddr) -> ServerHandle {
        ServerHandle { state: Rc::clone(state), local_addr }
    }

    /// The first address of the call that returned this handle, which tells the port when 0 was asked for. It does not
    /// change when the server stops. `0.0.0.0:0` when the first socket is a Unix socket.
    #[inline]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The addresses that are accepted from, those of other calls included, without Unix sockets. None after
    /// [`stop`](ServerHandle::stop).
    #[inline]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.state.local_addrs()
    }

    /// How many connections are open. A connection counts until its handler has returned and its descriptor is closed.
    #[inline]
    pub fn connections(&self) -> usize {
        self.state.connections()
    }

    /// Stops listening, at once: connections in the backlog are reset, those that have been accepted go on. What was
    /// [bound](crate::TcpServer::bind) and not started stays bound. Does nothing the second time; may be called by the
    /// handler.
    #[inline]
    pub fn stop(&self) {
        self.state.stop();
    }

    /// Accepts what waits in the backlog, stops listening, waits until all connections have ended, and closes those that
    /// are left after `limit`.
    ///
    /// Reads and writes of a connection that is cut fail with [`Error::Closed`](crate::Error::Closed), which ends the
    /// usual handler; for that the drain waits for 1 s more at most. A handler that waits for something else is not
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the server stopped and cuts nothing.
    #[must_use = "futures do nothing unless awaited"]
    #[inline]
    pub fn drain(&self, limit: Duration) -> impl Future<Output = DrainReport> + use<> {
        let state = Rc::clone(&self.state);
        async move {
            state.stop_after_backlog();
            let open = state.connections();
            let cut = match ioloop::timeout(limit, state.wait_until_drained()).await {
                Ok(()) => 0,
                Err(_) => state.cut_all(),
            };
            // Handlers need a turn or two to notice.
            let _ = ioloop::timeout(AFTER_CUT, state.wait_until_drained()).await;
            DrainReport { finished: open.saturating_sub(cut), cut }
        }
    }
}

impl fmt::Debug for ServerHandle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("local_addr", &self.local_addr)
            .field("local_addrs", &self.local_addrs())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
