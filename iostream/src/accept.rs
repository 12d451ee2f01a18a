use std::{
    cell::Cell,
    fmt, io,
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::Duration,
};

use ioloop::{IOLoop, Interest, Token};
use nix::errno::Errno;

use crate::{Result, burst::Burst, error::errno};

/// How long accepting pauses when the process or the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The most connections accepted in one turn of the loop.
const MAX_BATCH: u32 = 64;

/// More connections than any backlog holds (`somaxconn` is 4,096 by default), and an end to it should new ones keep coming.
const WHOLE_BACKLOG: u32 = 65_536;

/// Calls `on_accept` for every connection that `listener` gets, on the current loop, until
/// [`AcceptHandle::stop`].
///
/// The connections are handed over as the system gives them, still blocking;
/// [`IOStream::from_accepted`](crate::IOStream::from_accepted) makes them non-blocking. `TCP_NODELAY` is not set.
///
/// One connection is accepted per wake-up, and more only as long as there were more each time: asking a queue that is
/// already empty costs the kernel as much as a connection. When descriptors or memory run out, accepting pauses for
/// 100 ms at a time and goes on with the connections that have waited. That is logged as an error when it begins, and once
/// a minute while it lasts.
///
/// # Errors
///
/// [`Error::Loop`](crate::Error::Loop) when the loop cannot watch the socket.
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, netutil::{BindOptions, add_accept_handler, bind_sockets}};
/// use std::net::TcpStream;
///
/// for listener in bind_sockets("127.0.0.1:0", &BindOptions::new())? {
///     let addr = listener.local_addr()?;
///     add_accept_handler(listener, |_connection, peer| {
///         println!("{peer} has come");
///         IOLoop::current().stop();
///     })?;
///     let client = TcpStream::connect(addr)?;
///     IOLoop::current().start();
/// }
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn add_accept_handler(
    listener: TcpListener,
    on_accept: impl FnMut(TcpStream, SocketAddr) + 'static,
) -> Result<AcceptHandle> {
    listener.set_nonblocking(true)?;
    let listener = Rc::new(listener);
    let ioloop = IOLoop::current();
    let acceptor = Rc::new(Acceptor {
        ioloop: ioloop.clone(),
        token: Cell::new(None),
        batch: Cell::new(1),
        shortages: Burst::default(),
        losses: Burst::default(),
    });
    let token = ioloop.add_handler(listener.clone(), Interest::READABLE, {
        let acceptor = acceptor.clone();
        let mut on_accept = on_accept;
        move |_| acceptor.accept_batch(&listener, &mut on_accept)
    })?;
    acceptor.token.set(Some(token));
    Ok(AcceptHandle(acceptor))
}

/// Ends what [`add_accept_handler`] has begun. Dropping it changes nothing: accepting goes on.
#[derive(Clone)]
pub struct AcceptHandle(Rc<Acceptor>);

impl AcceptHandle {
    /// Has the next turn that polls accept all connections that wait by then, instead of a few: for a server that is about
    /// to [`stop`](AcceptHandle::stop), since closing the socket resets what still waits.
    pub fn accept_backlog(&self) {
        self.0.batch.set(WHOLE_BACKLOG);
    }

    /// Stops accepting and closes the listening socket. Does nothing the second time. May be called by the accept
    /// callback, which is then not called again.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl fmt::Debug for AcceptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptHandle").field("token", &self.0.token.get()).finish()
    }
}

/// One listening socket's state. The socket itself belongs to the handler, so that removing that closes it.
struct Acceptor {
    ioloop: IOLoop,
    /// `None` once stopped.
    token: Cell<Option<Token>>,
    /// How many connections the next wake-up may bring. Grows while every one of them was there.
    batch: Cell<u32>,
    /// Times at which descriptors had run out.
    shortages: Burst,
    /// Connections that were gone before they could be accepted.
    losses: Burst,
}

impl Acceptor {
    fn accept_batch(self: &Rc<Self>, listener: &TcpListener, on_accept: &mut dyn FnMut(TcpStream, SocketAddr)) {
        for _ in 0..self.batch.get() {
            match listener.accept() {
                Ok((stream, peer)) => on_accept(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.batch.set(1);
                    return;
                }
                Err(error) if is_exhaustion(&error) => return self.pause(&error),
                // Somebody with a duplicate of the socket has shut it down. It would report a hang-up for ever.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return self.give_up(&error),
                // Errors of the one connection, which has gone again before it was accepted (see accept(2)).
                Err(error) => {
                    if let Some(silent) = self.losses.note(self.ioloop.turn_time()) {
                        log::debug!("accepting a connection, after {silent} more failures: {error}");
                    }
                }
            }
            if self.token.get().is_none() {
                return;
            }
        }
        self.batch.set((self.batch.get() * 2).min(MAX_BATCH));
    }

    /// Stops listening to the socket for a while. It stays ready, so that the loop would spin.
    fn pause(self: &Rc<Self>, error: &io::Error) {
        self.batch.set(1);
        // Once per burst: at the limit every connection that ends lets one in, and the next attempt fails again.
        if let Some(silent) = self.shortages.note(self.ioloop.turn_time()) {
            log::error!("accepting connections pauses, after {silent} more times: {error}");
        } else {
            log::debug!("accepting connections pauses: {error}");
        }
        self.listen_for(Interest::empty());
        let acceptor = self.clone();
        self.ioloop.call_later(PAUSE, move || acceptor.listen_for(Interest::READABLE));
    }

    fn give_up(&self, error: &io::Error) {
        log::error!("accepting connections ends: {error}");
        self.stop();
    }

    fn stop(&self) {
        if let Some(token) = self.token.take() {
            self.ioloop.remove_handler(token);
        }
    }

    fn listen_for(&self, interest: Interest) {
        if let Some(token) = self.token.get()
            && let Err(error) = self.ioloop.update_handler(token, interest)
        {
            log::error!("accepting connections: {error}");
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(errno(error), Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
}
