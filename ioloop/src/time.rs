use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use crate::{
    Error, IOLoop, Result,
    arena::ArenaKey,
    clock::nanos,
    timer::{Action, NEVER, Sleeper},
};

/// Waits for `duration`, counted from this call, on the current loop. Never early; late by up to a millisecond, which
/// is what epoll counts in, and by what the loop has to do. Costs a reading of the clock and 64 bytes in the loop's
/// tables, and no allocation. A duration of zero completes at the next poll of the loop at the latest; to let others
/// run see [`yield_now`](crate::yield_now).
///
/// # Examples
///
/// Trying again, each time after a longer pause:
///
/// ```
/// use std::{io, net::TcpStream, time::Duration};
/// use ioloop::{IOLoop, run_in_executor, sleep};
///
/// async fn connect(address: &'static str) -> io::Result<TcpStream> {
///     let mut pause = Duration::from_millis(1);
///     let mut failure = None;
///     for _attempt in 0..3 {
///         match run_in_executor(move || TcpStream::connect(address)).await {
///             Ok(Ok(stream)) => return Ok(stream),
///             Ok(Err(error)) => failure = Some(error),
///             Err(error) => return Err(io::Error::other(error)),
///         }
///         sleep(pause).await;
///         pause *= 2;
///     }
///     Err(failure.expect("there was an attempt"))
/// }
///
/// fn main() {
///     // Nobody listens there.
///     let refused = IOLoop::current().run_sync(connect("127.0.0.1:1"));
///     assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
/// }
/// ```
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    let ioloop = IOLoop::current();
    let due = ioloop.clock_nanos().saturating_add(nanos(duration));
    Sleep { deadline: Deadline::due_at(ioloop, due) }
}

/// Waits until `when`, on the current loop; an instant that has passed is now. Costs what [`sleep`] does, less the reading
/// of the clock. With a clock other than the system's, count `when` from [`IOLoop::time`].
#[inline]
pub fn sleep_until(when: Instant) -> Sleep {
    let ioloop = IOLoop::current();
    let due = ioloop.nanos(when);
    Sleep { deadline: Deadline::due_at(ioloop, due) }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
///
/// Dropping it cancels the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Deadline,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll_expired(cx)
    }
}

/// Limits `future` to `limit`, counted from this call. Costs what a [`sleep`] does. For a limit that is set anew with
/// every request of a connection see [`Deadline`].
///
/// # Errors
///
/// [`Error::TimedOut`] when the time is over first; the future is dropped with the `Timeout`. A future that is ready at the
/// same time wins.
///
/// # Cancel safety
///
/// That of `future`, which is also dropped where it waits when the time is over: to go on with it later, give `&mut` of a
/// pinned one.
///
/// # Examples
///
/// The first answer wins, and a default when there is none in time:
///
/// ```
/// use std::{future::pending, time::Duration};
/// use ioloop::{IOLoop, sleep, timeout};
///
/// /// Stands for a server that is fast, slow or gone.
/// async fn ask(server: &str) -> u32 {
///     match server {
///         "near" => sleep(Duration::from_millis(1)).await,
///         _ => pending().await,
///     }
///     42
/// }
///
/// async fn answer(servers: &[&str]) -> u32 {
///     for server in servers {
///         match timeout(Duration::from_millis(50), ask(server)).await {
///             Ok(answer) => return answer,
///             Err(error) => println!("{server}: {error}"),
///         }
///     }
///     0
/// }
///
/// fn main() {
///     let ioloop = IOLoop::current();
///     assert_eq!(ioloop.run_sync(answer(&["near"])), 42);
///     assert_eq!(ioloop.run_sync(answer(&["gone"])), 0);
/// }
/// ```
pub fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(limit) }
}

pin_project! {
    /// The future of [`timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.deadline.poll_expired(cx).map(|()| Err(Error::TimedOut))
    }
}

/// A point in time that moves, for the time-outs of a connection: one timer, kept as long as the holder lives. Moving it
/// to later, which happens with every request, is a store; the timer that fires too early re-arms itself. It takes 16
/// bytes, and 64 in the loop's tables, whether it is set or not.
///
/// Belongs to the loop that was current when it was made, and keeps it alive. One task may wait for it.
///
/// # Examples
///
/// Lines from a socket, until the other side has been silent for too long:
///
/// ```
/// use std::{future::poll_fn, io::{ErrorKind, Read, Write}, os::unix::net::UnixStream, task::Poll, time::Duration};
/// use ioloop::{Deadline, IOLoop, Ready, Source};
///
/// /// How many bytes come before `idle` goes by without any.
/// async fn listen(source: &Source<UnixStream>, idle: Duration) -> usize {
///     let deadline = Deadline::new();
///     let mut received = 0;
///     loop {
///         // With every message, and no more than a store.
///         deadline.set_after(idle);
///         let ready = poll_fn(|cx| match source.poll_ready(cx, Ready::READABLE) {
///             Poll::Ready(_) => Poll::Ready(true),
///             Poll::Pending => deadline.poll_expired(cx).map(|()| false),
///         });
///         if !ready.await {
///             return received;
///         }
///         match source.get_ref().read(&mut [0; 64]) {
///             Ok(0) => return received,
///             Ok(count) => received += count,
///             Err(error) if error.kind() == ErrorKind::WouldBlock => source.clear(Ready::READABLE),
///             Err(error) => panic!("reading: {error}"),
///         }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     ours.set_nonblocking(true)?;
///     let source = Source::new(ours)?;
///     theirs.write_all(b"hello, and then nothing")?;
///     let received = IOLoop::current().run_sync(listen(&source, Duration::from_millis(5)));
///     assert_eq!(received, 23);
///     Ok(())
/// }
/// ```
pub struct Deadline {
    ioloop: IOLoop,
    timer: ArenaKey,
}

impl Deadline {
    /// A deadline of the current loop that is not set yet.
    pub fn new() -> Deadline {
        Deadline::due_at(IOLoop::current(), NEVER)
    }

    fn due_at(ioloop: IOLoop, due: u64) -> Deadline {
        let timer = ioloop.insert_timer(due, Action::Wake(Sleeper::Nobody));
        Deadline { ioloop, timer }
    }

    /// The loop it belongs to.
    pub fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    /// Moves it to `when`; an instant that has passed is now. Later than it was is a store, earlier an entry in a heap.
    pub fn set(&self, when: Instant) {
        self.set_nanos(self.ioloop.nanos(when));
    }

    /// Moves it to `duration` after [`turn_time`](IOLoop::turn_time), when the loop last looked at its descriptors,
    /// which costs no reading of the clock. The work done since then counts as waiting: meant for time-outs that are
    /// long against a turn.
    pub fn set_after(&self, duration: Duration) {
        self.set_nanos(self.ioloop.turn_nanos().saturating_add(nanos(duration)));
    }

    /// [`set_after`](Deadline::set_after) at the beginning of a wait: the task is woken when it expires. Does in one step
    /// what `set_after` and [`poll_expired`](Deadline::poll_expired) do in two, once per request of a keep-alive connection.
    #[inline]
    pub fn start(&self, duration: Duration, cx: &mut Context<'_>) {
        let due = self.ioloop.turn_nanos().saturating_add(nanos(duration));
        self.ioloop.set_timer(self.timer, due, cx.waker());
    }

    /// Unsets it: it does not expire.
    pub fn clear(&self) {
        self.set_nanos(NEVER);
    }

    /// Whether it is set and lies at or before [`turn_time`](IOLoop::turn_time).
    pub fn is_expired(&self) -> bool {
        self.ioloop.timer_due(self.timer) <= self.ioloop.turn_nanos()
    }

    /// Ready when it [is expired](Deadline::is_expired); otherwise the task is woken when it is, replacing the task
    /// that waited before.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_expired() {
            return Poll::Ready(());
        }
        self.ioloop.set_timer_waker(self.timer, cx.waker());
        Poll::Pending
    }

    pub(crate) fn set_nanos(&self, due: u64) {
        self.ioloop.set_timer_due(self.timer, due);
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Deadline::new()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        drop(self.ioloop.remove_timer(self.timer));
    }
}

impl fmt::Debug for Deadline {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("expired", &self.is_expired()).finish_non_exhaustive()
    }
}
