use std::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use iostream::{
    IOLoop,
    ioloop::{self, signal, yield_now},
};

use crate::{Result, ServerMetrics, server::Inner};

/// How long a drain waits for connections that it has cut, in case the destructor of a service's future takes long.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A running server: what it listens on, how many it serves, and how it is ended.
///
/// Clones are the same server. Dropping all of them does not stop it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use httpserver::{HttpServer, IOLoop, Request};
///
/// let server = HttpServer::new(async |_: Request| "hello").listen(("127.0.0.1", 0))?;
/// println!("listening on {}", server.local_addr());
/// let report = IOLoop::current().run_sync(server.drain(Duration::from_secs(10)));
/// assert_eq!(report.cut, 0);
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    server: Rc<Inner>,
    /// `None` for a server that does not listen.
    local_addr: Option<SocketAddr>,
}

/// What a drain did; see [`ServerHandle::drain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that waited for a request and were closed at once.
    pub idle: usize,
    /// Connections that finished what they were doing.
    pub finished: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

impl ServerHandle {
    pub(crate) fn new(server: Rc<Inner>, local_addr: Option<SocketAddr>) -> ServerHandle {
        ServerHandle { server, local_addr }
    }

    /// The first address of the call that returned this handle, which tells the port when 0 was asked for. It does not
    /// change when the server stops.
    ///
    /// # Panics
    ///
    /// When the call was one for Unix sockets alone, and when the handle was taken by
    /// [`HttpServer::handle`](crate::HttpServer::handle) from a server that did not listen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr.expect("the handle of a server that listens")
    }

    /// The addresses listened on, without Unix sockets; none after [`stop`](ServerHandle::stop).
    #[inline]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.server.local_addrs()
    }

    /// How many connections are open, upgraded ones included.
    pub fn connections(&self) -> usize {
        self.server.state.connections()
    }

    /// What the server has done so far, and what it holds. Looks at each connection once; what is counted in between costs
    /// an addition for each answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, IOStream, Request};
    ///
    /// let server = HttpServer::new(async |_: Request| "hello").listen(("127.0.0.1", 0))?;
    /// IOLoop::current().run_sync(async {
    ///     let client = IOStream::connect(server.local_addr()).await?;
    ///     client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    ///     client.read_until_close().await
    /// })?;
    /// let metrics = server.metrics();
    /// assert_eq!((metrics.requests(), metrics.answers[1], metrics.refused), (1, 1, 0));
    /// println!("99 of 100 within {:?}", metrics.latency.quantile(0.99));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn metrics(&self) -> ServerMetrics {
        self.server.state.metrics()
    }

    /// Whether new clients are welcome: what a readiness probe is to be told. False from the beginning of a
    /// [`drain_after`](ServerHandle::drain_after), while the server still accepts, and after
    /// [`set_ready(false)`](ServerHandle::set_ready). A service asks its request
    /// ([`Request::is_server_ready`](crate::Request::is_server_ready)).
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.server.state.is_ready()
    }

    /// Sets what [`is_ready`](ServerHandle::is_ready) says, and nothing else: for a server that wants no traffic while it
    /// warms up, or that is about to be drained by other means. A server is ready from the start. One that drains never is.
    #[inline]
    pub fn set_ready(&self, ready: bool) {
        self.server.state.set_ready(ready);
    }

    /// Whether a [`drain`](ServerHandle::drain) has begun.
    pub fn is_draining(&self) -> bool {
        self.server.state.is_draining()
    }

    /// Stops listening. Connections go on. Does nothing the second time.
    #[inline]
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Ends the server in order: stops listening, closes the connections that wait for a request, lets the others finish
    /// the request in hand, whose answer carries `Connection: close`, and cuts what is left after `limit`. Services that
    /// wait for long are told at the beginning ([`Request::draining`](crate::Request::draining)).
    ///
    /// Connections that wait in the backlog are accepted before the socket is closed, and a request that the kernel has
    /// received by then is answered. A client whose connection or request reaches the kernel in the moment after that is
    /// reset: TCP has no way to hand it back. [`ServerOptions::drain_grace`](crate::ServerOptions::drain_grace) keeps
    /// connections for a while that wait for a request; new ones need another process that has the same listening sockets.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it has stopped listening, and connections go on to end with their request; nothing is cut.
    #[inline]
    #[must_use = "futures do nothing unless awaited"]
    pub fn drain(&self, limit: Duration) -> impl Future<Output = DrainReport> + use<> {
        let handle = self.clone();
        async move {
            let state = &handle.server.state;
            let before = state.served().wrapping_sub(handle.connections());
            // Before the requests that the next poll brings: their answers are to say that the connection ends.
            state.begin_drain();
            handle.server.drain_backlog();
            let grace = state.drain_grace.min(limit);
            if !grace.is_zero() {
                // Not after the grace, which may be all the time there is. An answer that ends because of this leaves a
                // connection that is idle.
                state.waiting.tell_all();
                // Whoever still has connections then has idle ones, or is busy.
                let _ = ioloop::timeout(grace, state.wait_until_drained()).await;
            }
            // Before a connection counts as idle the kernel is asked once what has come for it.
            after_next_poll().await;
            let idle = state.cut_idle();
            let cut = match ioloop::timeout(limit - grace, state.wait_until_drained()).await {
                Ok(()) => 0,
                Err(_) => handle.cut().await,
            };
            let all = state.served().wrapping_sub(before);
            DrainReport { idle, finished: all.saturating_sub(idle + cut), cut }
        }
    }

    /// Says at once that the server is not [ready](ServerHandle::is_ready), goes on as before for `delay`, and then
    /// [drains](ServerHandle::drain) with `limit`.
    ///
    /// A load balancer learns from its next probe that the server is to be left out. The delay is for that: until then it
    /// goes on opening connections, which a server that had stopped listening would refuse. Take the interval between
    /// probes, times the number that have to fail, and a second. What comes during the delay is served as ever, and does
    /// not count in the report unless it is still there at its end.
    ///
    /// # Cancel safety
    ///
    /// Dropped during the delay, the server accepts and serves, and is not ready; afterwards as
    /// [`drain`](ServerHandle::drain).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use httpserver::{HttpServer, IOLoop, Request, Response, StatusCode};
    ///
    /// let server = HttpServer::new(async |request: Request| match request.path() {
    ///     "/ready" if request.is_server_ready() => Response::text("ready\n"),
    ///     "/ready" => Response::text("leaving\n").with_status(StatusCode::SERVICE_UNAVAILABLE),
    ///     _ => Response::text("hello\n"),
    /// });
    /// let server = server.listen(("127.0.0.1", 0))?;
    /// let report = IOLoop::current().run_sync(server.drain_after(Duration::from_millis(5), Duration::from_secs(10)));
    /// assert_eq!(report.cut, 0);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    #[must_use = "futures do nothing unless awaited"]
    pub fn drain_after(&self, delay: Duration, limit: Duration) -> impl Future<Output = DrainReport> + use<> {
        let handle = self.clone();
        async move {
            handle.set_ready(false);
            // Not even a turn of the loop for a delay of nothing.
            if !delay.is_zero() {
                ioloop::sleep(delay).await;
            }
            handle.drain(limit).await
        }
    }

    /// Cuts every connection, and waits for their futures to end. Returns how many were cut.
    #[inline]
    async fn cut(&self) -> usize {
        let cut = self.server.state.cut_all();
        if ioloop::timeout(LAST_WAIT, self.server.state.wait_until_drained()).await.is_err() {
            log::warn!("{} connections still held after they were cut", self.connections());
        }
        cut
    }

    /// Drains when SIGTERM or SIGINT arrives, then stops the loop. A second signal cuts what is left at once.
    ///
    /// # Errors
    ///
    /// When the signal handlers cannot be installed.
    #[inline]
    pub fn drain_on_signal(&self, limit: Duration) -> Result<()> {
        self.drain_on_signal_after(Duration::ZERO, limit)
    }

    /// As [`drain_on_signal`](ServerHandle::drain_on_signal), by [`drain_after`](ServerHandle::drain_after).
    ///
    /// # Errors
    ///
    /// When the signal handlers cannot be installed.
    #[inline]
    pub fn drain_on_signal_after(&self, delay: Duration, limit: Duration) -> Result<()> {
        let mut signals = [signal::SIGTERM, signal::SIGINT]
            .into_iter()
            .map(signal::Signal::new)
            .collect::<ioloop::Result<Vec<_>>>()
            .map_err(iostream::Error::from)?;
        let server = self.clone();
        IOLoop::current().spawn_detached(async move {
            poll_fn(|cx| poll_any(&mut signals, cx)).await;
            log::info!("draining {} connections", server.connections());
            let mut drain = Box::pin(server.drain_after(delay, limit));
            let report = poll_fn(|cx| match drain.as_mut().poll(cx) {
                Poll::Ready(report) => Poll::Ready(Some(report)),
                Poll::Pending => poll_any(&mut signals, cx).map(|()| None),
            })
            .await;
            match report {
                Some(DrainReport { finished, idle, cut }) => {
                    log::info!("drained: {finished} finished, {idle} idle, {cut} cut");
                }
                None => {
                    // Not among the log line's arguments: those are evaluated only when the line is written.
                    server.stop();
                    let cut = server.cut().await;
                    log::info!("drain cut short by a second signal: {cut} cut");
                }
            }
            IOLoop::current().stop();
        });
        Ok(())
    }
}

#[inline]
fn poll_any(signals: &mut [signal::Signal], cx: &mut Context<'_>) -> Poll<()> {
    match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

/// Waits until the loop has polled its descriptors once more. A turn may run without polling, so yields are counted in
/// polls.
#[inline]
async fn after_next_poll() {
    let polls = || IOLoop::current().metrics().waits;
    let before = polls();
    while polls() == before {
        yield_now().await;
    }
    // What that poll found is dispatched in the same turn, before tasks run; the connections run in this one.
    yield_now().await;
}

impl fmt::Debug for ServerHandle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("local_addrs", &self.local_addrs())
            .field("connections", &self.connections())
            .field("ready", &self.is_ready())
            .field("draining", &self.is_draining())
            .finish()
    }
}
