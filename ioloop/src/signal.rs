//! Unix signals as futures and as callbacks.
//!
//! A signal's handler writes a byte to a socket pair that the loop watches, so the rest happens on the loop's thread as
//! ordinary code. The handler stays installed for the rest of the process: once a [`Signal`] was made, the signal's
//! default action (ending the process, for most) does not happen any more.
//!
//! # Examples
//!
//! ```no_run
//! # async fn example() -> ioloop::Result<()> {
//! let signal = ioloop::signal::shutdown().await?;
//! println!("got signal {signal}, finishing");
//! # Ok(())
//! # }
//! ```

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    io::{ErrorKind, Read},
    os::unix::net::UnixStream,
    panic::Location,
    rc::Rc,
    task::{Context, Poll},
};

use signal_hook::{SigId, consts, low_level};

use crate::{Error, IOLoop, JoinHandle, Ready, Result, Source};

/// The number of SIGINT, Ctrl-C in a terminal.
pub const SIGINT: i32 = consts::SIGINT;
/// The number of SIGTERM, the polite request to end.
pub const SIGTERM: i32 = consts::SIGTERM;
/// The number of SIGHUP, by habit the request to read the configuration again.
pub const SIGHUP: i32 = consts::SIGHUP;

/// A listener for one signal on the current loop. Any number of listeners, on any number of loops, may share a signal.
///
/// Signals that arrive before [`recv`](Signal::recv) is called are kept; several of them may be merged into one, as the
/// kernel does too. Costs a socket pair, of which the loop watches one end.
///
/// # Examples
///
/// A service that reads its configuration again on SIGHUP and ends on SIGTERM:
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use ioloop::{IOLoop, signal::{self, Signal}, spawn};
///
/// fn main() -> ioloop::Result<()> {
///     let version = Rc::new(Cell::new(1));
///
///     // Made before anything can send it: what comes without a listener ends the process.
///     let (mut reload, mut end) = (Signal::new(signal::SIGHUP)?, Signal::new(signal::SIGTERM)?);
///     let current = Rc::clone(&version);
///     let reloading = spawn(async move {
///         loop {
///             reload.recv().await;
///             current.set(current.get() + 1);
///             println!("configuration {}", current.get());
///             // Somebody runs `kill -TERM`.
///             signal_hook::low_level::raise(signal::SIGTERM).expect("a signal that exists");
///         }
///     });
///
///     // Somebody runs `kill -HUP`.
///     signal_hook::low_level::raise(signal::SIGHUP).expect("a signal that exists");
///     IOLoop::current().run_sync(end.recv());
///     reloading.abort();
///     assert_eq!(version.get(), 2);
///     Ok(())
/// }
/// ```
pub struct Signal {
    receiver: Source<UnixStream>,
    _handler: Handler,
}

impl Signal {
    /// Listens for the signal of this number from now on.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors, or the number is none that can be handled.
    ///
    /// # Panics
    ///
    /// For SIGKILL, SIGSTOP, SIGILL, SIGFPE and SIGSEGV, which cannot be handled this way.
    #[inline]
    pub fn new(signal: i32) -> Result<Signal> {
        Handled::new(signal)?.watch()
    }

    /// Waits for the signal.
    ///
    /// # Cancel safety
    ///
    /// A signal is consumed only when the future completes.
    pub async fn recv(&mut self) {
        poll_fn(|cx| self.poll_recv(cx)).await;
    }

    /// Ready when the signal has arrived since it was last ready.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 64];
        loop {
            if self.receiver.poll_ready(cx, Ready::READABLE).is_pending() {
                return Poll::Pending;
            }
            match self.receiver.get_ref().read(&mut bytes) {
                // Zero and errors other than these do not happen while we hold both ends.
                Ok(_) => return Poll::Ready(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.receiver.clear(Ready::READABLE),
            }
        }
    }
}

impl fmt::Debug for Signal {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}

/// A signal that is handled, and that no loop watches yet.
struct Handled {
    receiver: UnixStream,
    handler: Handler,
}

impl Handled {
    #[inline]
    fn new(signal: i32) -> Result<Handled> {
        let (receiver, sender) = UnixStream::pair().map_err(Error::io("creating a signal's socket pair"))?;
        receiver.set_nonblocking(true).map_err(Error::io("making a signal's socket non-blocking"))?;
        let handler = low_level::pipe::register(signal, sender).map_err(Error::io("installing a signal handler"))?;
        Ok(Handled { receiver, handler: Handler(handler) })
    }

    /// Has the current loop watch it.
    #[inline]
    fn watch(self) -> Result<Signal> {
        Ok(Signal { receiver: Source::new(self.receiver)?, _handler: self.handler })
    }
}

/// Writes to the socket pair of one listener, for as long as this lives.
struct Handler(SigId);

impl Drop for Handler {
    #[inline]
    fn drop(&mut self) {
        low_level::unregister(self.0);
    }
}

/// Calls `callback` on the current loop whenever the signal of this number has arrived: the callback form of [`Signal`].
/// A panic in it is reported, and the next signal calls it again.
///
/// # Errors
///
/// As [`Signal::new`].
///
/// # Panics
///
/// As [`Signal::new`].
///
/// # Examples
///
/// ```no_run
/// use ioloop::{IOLoop, signal};
///
/// let reload = signal::add_signal_handler(signal::SIGHUP, || println!("reading the configuration again"))?;
/// IOLoop::current().start();
/// reload.remove();
/// # Ok::<_, ioloop::Error>(())
/// ```
#[track_caller]
pub fn add_signal_handler(signal: i32, callback: impl FnMut() + 'static) -> Result<SignalHandler> {
    let (mut signal, location) = (Signal::new(signal)?, Location::caller());
    let (ioloop, callback) = (IOLoop::current(), Rc::new(RefCell::new(callback)));
    let task = ioloop.clone().spawn(async move {
        loop {
            signal.recv().await;
            let callback = Rc::clone(&callback);
            // As work of its own, so that a panic ends one call and not the listening. It is borrowed already when it runs
            // the loop itself; then the call under way has to do for this signal too.
            let call = Box::new(move || {
                if let Ok(mut callback) = callback.try_borrow_mut() {
                    callback();
                }
            });
            ioloop.enqueue_callback(call, location);
        }
    });
    Ok(SignalHandler { task })
}

/// A callback given to [`add_signal_handler`]. Dropping it leaves the callback in place for as long as the loop lives.
#[derive(Debug)]
pub struct SignalHandler {
    task: JoinHandle<()>,
}

impl SignalHandler {
    /// Ends the calls, and drops the callback. A call that is queued already still comes.
    #[inline]
    pub fn remove(self) {
        self.task.abort();
    }
}

/// Waits for SIGINT, Ctrl-C in a terminal. From this call on the signal does not end the process any more, also when
/// nothing waits for it. The loop that runs the future watches for it, from the first poll on.
///
/// # Errors
///
/// As [`Signal::new`].
pub fn interrupt() -> impl Future<Output = Result<()>> {
    wait_for(SIGINT)
}

/// Waits for SIGTERM, as [`interrupt`] does for SIGINT.
///
/// # Errors
///
/// As [`Signal::new`].
pub fn terminate() -> impl Future<Output = Result<()>> {
    wait_for(SIGTERM)
}

/// Waits for SIGINT or SIGTERM, whichever comes first, and returns its number. From this call on neither ends the process any
/// more: a second Ctrl-C during a slow end has to be waited for as well, or there is SIGKILL.
///
/// Call it before anybody is told that the program is there. Whoever is told may send a signal at once:
///
/// ```no_run
/// use ioloop::{IOLoop, signal};
///
/// let end = signal::shutdown();
/// println!("ready");
/// let signal = IOLoop::current().run_sync(end)?;
/// println!("got signal {signal}, finishing");
/// # Ok::<_, ioloop::Error>(())
/// ```
///
/// # Errors
///
/// As [`Signal::new`].
pub fn shutdown() -> impl Future<Output = Result<i32>> {
    let handled = (Handled::new(SIGINT), Handled::new(SIGTERM));
    async {
        let (mut interrupt, mut terminate) = (handled.0?.watch()?, handled.1?.watch()?);
        let either = poll_fn(|cx| match interrupt.poll_recv(cx) {
            Poll::Ready(()) => Poll::Ready(SIGINT),
            Poll::Pending => terminate.poll_recv(cx).map(|()| SIGTERM),
        });
        Ok(either.await)
    }
}

#[inline]
fn wait_for(signal: i32) -> impl Future<Output = Result<()>> {
    let handled = Handled::new(signal);
    async {
        handled?.watch()?.recv().await;
        Ok(())
    }
}
