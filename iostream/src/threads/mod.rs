//! A server on several threads, each with a loop of its own and nothing shared.
//!
//! A loop uses one processor. These functions run the same server on several threads: `setup` is called on each of them and
//! makes that thread's server, so its state may be `Rc` and `RefCell` as ever. There are two ways for a connection to find
//! its thread:
//!
//! * [`serve`]: each thread has a listening socket of its own (`SO_REUSEPORT`), and the kernel chooses by a hash of the
//!   addresses. Nothing passes between threads. With few connections, or long ones of different weight, some threads have
//!   more to do than others.
//! * [`hand_off`]: one more thread accepts, and gives each connection to the thread that has the fewest. That costs a wake-up
//!   of another thread for each connection, about 5 µs. For few and long connections, and for sockets that cannot be bound
//!   several times: [inherited](crate::netutil::inherited_sockets) and Unix sockets ([`hand_off_sockets`]).
//!
//! What is counted is counted for each thread: limits of connections are those of one thread's server. State that all
//! threads need is whatever Rust has for threads, captured by `setup`.
//!
//! Processes are the other way, see `fork_processes` of [`ioloop::process`]: one that crashes takes no other
//! with it.
//!
//! # Examples
//!
//! ```
//! use std::{cell::Cell, rc::Rc, time::Duration};
//! use iostream::{IOLoop, IOStream, TcpServer, threads};
//!
//! let threads = threads::serve(2, ("127.0.0.1", 0), || {
//!     // A count for each thread.
//!     let count = Rc::new(Cell::new(0));
//!     Ok(TcpServer::new(async move |stream: IOStream, _peer| {
//!         count.set(count.get() + 1);
//!         stream.write(format!("number {} of this thread\n", count.get())).await
//!     }))
//! })?;
//!
//! // The calling thread has its own loop, or none. A program would wait for `signal::shutdown()` here.
//! IOLoop::current().run_sync(async {
//!     let stream = IOStream::connect(threads.local_addr()).await?;
//!     assert_eq!(stream.read_until(b"\n").await?, "number 1 of this thread\n");
//!     let report = threads.drain(Duration::from_secs(10)).await?;
//!     assert_eq!(report.cut, 0);
//!     Ok::<_, iostream::Error>(())
//! })?;
//! # Ok::<_, iostream::Error>(())
//! ```

mod acceptor;
mod handle;
mod inbox;
mod worker;

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use ioloop::process::cpu_count;

use crate::{
    Error, IOStream, Peer, Result, TcpServer,
    netutil::{BindOptions, Listener, ToListenAddrs, bind_sockets},
};

pub use self::handle::{Report, Threads};

/// What runs on each thread. [`TcpServer`] is one, and so are the servers of the layers above.
pub trait Server: 'static {
    /// Accepts from these sockets, on the current loop.
    ///
    /// # Errors
    ///
    /// When the loop cannot watch one.
    fn add_sockets(&self, sockets: Vec<Listener>) -> Result<()>;

    /// Serves a connection that was accepted elsewhere, in tasks of the current loop, or closes it.
    fn serve_stream(&self, stream: IOStream, peer: Peer);

    /// Stops accepting, lets connections end, and cuts those that are left after `limit`. Returns how many were cut.
    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = usize>>>;
}

impl Server for TcpServer {
    #[inline]
    fn add_sockets(&self, sockets: Vec<Listener>) -> Result<()> {
        TcpServer::add_sockets(self, sockets).map(drop)
    }

    #[inline]
    fn serve_stream(&self, stream: IOStream, peer: Peer) {
        // The reason of a refusal has been logged.
        let _ = TcpServer::serve_stream(self, stream, peer);
    }

    #[inline]
    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = usize>>> {
        let drain = self.handle().drain(limit);
        Box::pin(async move { drain.await.cut })
    }
}

/// Runs a server on `threads` threads (0: one per processor), each of which listens on `addr` by sockets of its own.
///
/// Returns when all threads accept. They run until [`Threads::stop`] or [`Threads::drain`]; dropping the handle does not
/// stop them, and the end of the process does. `setup` is called once on each thread.
///
/// # Errors
///
/// As [`bind_sockets`]; then no thread was started. The first error or panic of a `setup`, and
/// [`Error::Io`] when the system has no thread to give; then all threads have ended.
///
/// # Examples
///
/// See the [module](self).
pub fn serve<S: Server>(
    threads: usize,
    addr: impl ToListenAddrs,
    setup: impl Fn() -> Result<S> + Send + Sync + 'static,
) -> Result<Threads> {
    let options = BindOptions::new().reuse_port(true);
    let first = bind_sockets(addr, &options)?;
    // With port 0 the others have to be bound to the port that the first has got.
    let addrs = first.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<SocketAddr>>>()?;
    let mut sockets = vec![first];
    for _ in 1..at_least_one(threads) {
        sockets.push(bind_sockets(&addrs, &options)?);
    }
    serve_sockets(sockets, setup)
}

/// As [`serve`], with a thread for each set of listening sockets: for [`BindOptions`] of your own, which should include
/// [`reuse_port`](BindOptions::reuse_port).
///
/// # Errors
///
/// As [`serve`]; [`Error::Io`] (`InvalidInput`) when there is no set or an empty one.
///
/// # Examples
///
/// ```
/// use iostream::{IOStream, TcpServer, netutil::{BindOptions, bind_sockets}, threads};
///
/// let options = BindOptions::new().reuse_port(true).backlog(100);
/// let first = bind_sockets(("127.0.0.1", 0), &options)?;
/// let second = bind_sockets(first[0].local_addr()?, &options)?;
/// let threads = threads::serve_sockets(vec![first, second], || {
///     Ok(TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await))
/// })?;
/// # threads.stop(std::time::Duration::ZERO);
/// threads.join()?;
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn serve_sockets<S: Server>(
    sockets: Vec<Vec<TcpListener>>,
    setup: impl Fn() -> Result<S> + Send + Sync + 'static,
) -> Result<Threads> {
    let sockets: Vec<Vec<Listener>> =
        sockets.into_iter().map(|set| set.into_iter().map(Listener::from).collect()).collect();
    if sockets.is_empty() || sockets.iter().any(Vec::is_empty) {
        return Err(no_socket());
    }
    let addrs = addresses(sockets.iter().flatten())?;
    handle::start(sockets, addrs, Arc::new(setup), None)
}

/// Runs a server on `threads` threads (0: one per processor) beside one that accepts and gives each connection to the
/// thread with the fewest. A connection counts until its descriptor is closed.
///
/// # Errors
///
/// As [`serve`].
///
/// # Examples
///
/// ```
/// use iostream::{IOStream, TcpServer, threads};
///
/// let threads = threads::hand_off(2, ("127.0.0.1", 0), || {
///     Ok(TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await))
/// })?;
/// # threads.stop(std::time::Duration::ZERO);
/// threads.join()?;
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn hand_off<S: Server>(
    threads: usize,
    addr: impl ToListenAddrs,
    setup: impl Fn() -> Result<S> + Send + Sync + 'static,
) -> Result<Threads> {
    hand_off_sockets(threads, bind_sockets(addr, &BindOptions::new())?, setup)
}

/// As [`hand_off`], from listening sockets of any kind.
///
/// # Errors
///
/// As [`serve`]; [`Error::Io`] (`InvalidInput`) when there is no socket.
pub fn hand_off_sockets<S: Server, L: Into<Listener>>(
    threads: usize,
    sockets: impl IntoIterator<Item = L>,
    setup: impl Fn() -> Result<S> + Send + Sync + 'static,
) -> Result<Threads> {
    let sockets: Vec<Listener> = sockets.into_iter().map(L::into).collect();
    if sockets.is_empty() {
        return Err(no_socket());
    }
    let addrs = addresses(&sockets)?;
    let workers = (0..at_least_one(threads)).map(|_| Vec::new()).collect();
    handle::start(workers, addrs, Arc::new(setup), Some(sockets))
}

#[inline]
fn at_least_one(threads: usize) -> usize {
    if threads == 0 { cpu_count() } else { threads }
}

/// The addresses of the sockets, each once.
fn addresses<'a>(sockets: impl IntoIterator<Item = &'a Listener>) -> Result<Vec<SocketAddr>> {
    let mut addrs = Vec::new();
    for socket in sockets {
        addrs.extend(socket.local_addr()?.filter(|addr| !addrs.contains(addr)));
    }
    Ok(addrs)
}

#[inline]
fn no_socket() -> Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no socket to accept from").into()
}
