mod ends;
mod finish;

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ioloop::{IOLoop, context};
use slab::Slab;

use crate::{
    IOStream,
    contain::{drop_contained, wake_all},
    iostream::Inner,
    marks::Mark,
};

/// How often a stream with a full buffer looks whether there is room to read up to its end.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

impl IOStream {
    /// Waits until the stream is closed, for whatever reason.
    ///
    /// While a task waits, the stream watches for the peer's end by itself: once the peer has ended its input, the rest is
    /// received into the buffer (up to `max_buffer_size`, readable afterwards) to reach that end. While the buffer is full, it
    /// looks for room once a second.
    ///
    /// The future is a handle of the stream: the stream lives as long as it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn closed(&self) -> ClosedFuture {
        ClosedFuture { stream: self.clone(), place: None }
    }

    /// Calls `callback` once, in a turn of the loop after the stream has closed, for whatever reason. At once when it is
    /// closed already. A callback set earlier is replaced. It runs in the [`context`] of this call.
    ///
    /// This makes the stream watch for the peer's end as [`closed`](IOStream::closed) does, and costs a task for as long as
    /// the stream is open. It does not keep the stream alive.
    ///
    /// # Examples
    ///
    /// ```
    /// # use iostream::{IOLoop, IOStream, TcpServer};
    /// let addr = TcpServer::new(async |_stream, _peer| Ok(())).listen(("127.0.0.1", 0))?.local_addr();
    /// let ioloop = IOLoop::current();
    /// let stream = ioloop.run_sync(IOStream::connect(addr))?;
    /// stream.set_close_callback(|| IOLoop::current().stop());
    /// ioloop.start(); // Runs until the server has hung up.
    /// assert!(stream.is_closed());
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn set_close_callback(&self, callback: impl FnOnce() + 'static) {
        let Some(ioloop) = self.inner.ioloop() else {
            IOLoop::current().add_callback(callback);
            return;
        };
        // It belongs to the caller, not to the task that closes the stream or happens to be served by it then.
        let callback = Box::new(context::wrap(callback));
        let (previous, watched) = {
            let set = |at_close: &mut AtClose| {
                (at_close.callback.replace(callback), mem::replace(&mut at_close.watched, true))
            };
            self.inner.with_at_close(|at_close| set(at_close.get_or_insert_default()))
        };
        if !watched {
            ioloop.spawn_independent(watch(self.downgrade()));
        }
        drop(previous);
    }

    /// Keeps `guard` until the stream is closed, and drops it then; at once when it is closed already.
    ///
    /// A stream outlives its last handle while bytes are queued, for as long as
    /// [`set_write_timeout`](IOStream::set_write_timeout) says. What has to last as long as the descriptor, such as a place
    /// in a count of connections, is attached. Costs an allocation; a stream to which nothing is attached pays nothing. A panic
    /// of its destructor at the close is reported, and goes to nobody else.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::memory;
    /// use std::rc::Rc;
    ///
    /// let (stream, _peer) = memory::pair(10);
    /// let place = Rc::new(());
    /// stream.attach(Rc::clone(&place));
    /// assert_eq!(Rc::strong_count(&place), 2);
    /// stream.close();
    /// assert_eq!(Rc::strong_count(&place), 1);
    /// ```
    pub fn attach(&self, guard: impl Any) {
        // Dropped outside of the borrow, because that is user code.
        if !self.is_closed() {
            let guard = Box::new(guard);
            self.inner.with_at_close(|at_close| at_close.get_or_insert_default().guards.push(guard));
        }
    }

    /// Waits until the peer has ended its input or is gone: FIN, RST or HUP. Resolves also while received bytes are
    /// unread, here or in the kernel, and when the stream is closed. Nothing is read and nothing is closed by waiting.
    ///
    /// A FIN may be half of a conversation (the peer waits for an answer) or its end (the peer has called `close`). Only
    /// writing shows which it is.
    ///
    /// The future is a handle of the stream: the stream lives as long as it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn peer_closed(&self) -> PeerClosedFuture {
        PeerClosedFuture { stream: self.clone() }
    }

    /// The polling form of [`peer_closed`](IOStream::peer_closed).
    pub fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inner.is_closed() || self.inner.marks.has(Mark::EOF) {
            return Poll::Ready(());
        }
        self.inner.transport.borrow().poll_peer_closed(cx)
    }

    /// Waits until the connection is dead in both directions, as [`is_reset`](IOStream::is_reset) says: RST, HUP, or a FIN
    /// from each side. Resolves also when the stream is closed. Nothing is read and nothing is closed by waiting.
    ///
    /// A FIN of the peer alone does not end this wait; [`peer_closed`](IOStream::peer_closed) waits for that. This is for
    /// a half-open stream that goes on sending behind the peer's FIN and has nothing to send at the moment. A peer that
    /// has called `close` sends its reset in answer to the next bytes it gets, so without a write nothing may come.
    ///
    /// The future is a handle of the stream: the stream lives as long as it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, memory};
    ///
    /// let (stream, peer) = memory::pair(10);
    /// IOLoop::current().run_sync(async {
    ///     stream.write("unread").await?;
    ///     peer.close(); // With bytes unread: a reset.
    ///     stream.broken().await;
    ///     assert!(stream.is_reset());
    ///     Ok::<_, iostream::Error>(())
    /// })?;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn broken(&self) -> BrokenFuture {
        BrokenFuture { stream: self.clone() }
    }

    /// The polling form of [`broken`](IOStream::broken).
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inner.is_closed() || self.inner.is_broken() {
            return Poll::Ready(());
        }
        self.inner.transport.borrow().poll_broken(cx)
    }
}

/// The future of [`IOStream::closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct ClosedFuture {
    stream: IOStream,
    /// Where our waker stands in [`AtClose`].
    place: Option<usize>,
}

impl Future for ClosedFuture {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ClosedFuture { stream, place } = &mut *self;
        stream.inner.poll_closed(cx, place)
    }
}

impl Drop for ClosedFuture {
    #[inline]
    fn drop(&mut self) {
        self.stream.inner.forget_waiter(self.place.take());
    }
}

impl fmt::Debug for ClosedFuture {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosedFuture").finish_non_exhaustive()
    }
}

/// The future of [`IOStream::peer_closed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PeerClosedFuture {
    stream: IOStream,
}

impl Future for PeerClosedFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_peer_closed(cx)
    }
}

/// The future of [`IOStream::broken`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct BrokenFuture {
    stream: IOStream,
}

impl Future for BrokenFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_broken(cx)
    }
}

/// What happens when a stream closes.
#[derive(Default)]
pub(crate) struct AtClose {
    wakers: Slab<Waker>,
    callback: Option<Box<dyn FnOnce()>>,
    /// A task looks out on behalf of the callback.
    watched: bool,
    /// A timer has those who wait look for the end again.
    looks_later: bool,
    /// Values to be dropped then.
    guards: Vec<Box<dyn Any>>,
    /// Why the stream was closed, when the connection broke.
    cause: Option<Arc<io::Error>>,
}

impl AtClose {
    fn take_guards(&mut self) -> Vec<Box<dyn Any>> {
        mem::take(&mut self.guards)
    }

    pub(crate) fn announce(self, ioloop: &IOLoop) {
        // Tornado's order: first the tasks that wait, then the callback.
        wake_all(self.wakers.into_iter().map(|(_, waker)| waker));
        if let Some(callback) = self.callback {
            ioloop.add_callback(callback);
        }
        drop_guards(self.guards);
    }
}

/// Drops what was attached. A stream is closed by whoever happens to read from it or write to it.
fn drop_guards(guards: Vec<Box<dyn Any>>) {
    for guard in guards {
        drop_contained("what was attached to a stream", guard);
    }
}

/// Watches for the peer's end until the stream is closed or its last handle is dropped.
async fn watch(stream: Weak<Inner>) {
    let mut place = None;
    poll_fn(|cx| match stream.upgrade() {
        Some(inner) => inner.poll_closed(cx, &mut place),
        None => Poll::Ready(()),
    })
    .await;
}

impl Inner {
    /// Registers for the close, and looks after the peer.
    #[inline]
    fn poll_closed(self: &Rc<Self>, cx: &mut Context<'_>, place: &mut Option<usize>) -> Poll<()> {
        self.look_for_end(cx);
        if !self.is_closed() && !self.is_waiter(*place, cx.waker()) {
            // Cloning and dropping wakers is foreign code, and may close the stream: outside of the borrow.
            let waker = cx.waker().clone();
            drop(self.add_waiter(place, waker));
        }
        // Looking for the end may have found it.
        if self.is_closed() {
            *place = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Waits for the event that will end this stream, and when it has come reads up to the end, which closes the stream.
    #[inline]
    fn look_for_end(self: &Rc<Self>, cx: &mut Context<'_>) {
        if self.is_closed() || self.poll_end(cx).is_pending() {
            return;
        }
        if self.marks.has(Mark::EOF) {
            self.close_after_eof();
        } else if self.receive_rest(cx) {
            self.look_for_end_later();
        }
    }

    /// The buffer is full. Its reader meets the end in time, unless what it wants ends just before.
    #[cold]
    fn look_for_end_later(self: &Rc<Self>) {
        let looks_later =
            self.with_at_close(|at_close| mem::replace(&mut at_close.get_or_insert_default().looks_later, true));
        let is_first = !looks_later;
        if let Some(ioloop) = self.ioloop().filter(|_| is_first) {
            let stream = Rc::downgrade(self);
            // Seldom enough to cost nothing, and without a word to the readers, who would have to ask each time.
            ioloop.call_later(LOOKS_EVERY, move || {
                let Some(inner) = stream.upgrade() else { return };
                inner.with_at_close(|at_close| {
                    if let Some(at_close) = at_close {
                        at_close.looks_later = false;
                    }
                });
                inner.look_for_end_again();
            });
        }
    }

    #[inline]
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let transport = self.transport.borrow();
        // A half-open stream goes on after FIN.
        if self.outlives_input() { transport.poll_broken(cx) } else { transport.poll_peer_closed(cx) }
    }

    /// Another event ends the stream from now on. Who waits for the close has waited for the one before, and has to ask
    /// anew.
    #[inline]
    pub(crate) fn look_for_end_again(&self) {
        // The places stay taken, because the futures know theirs.
        let mut waiting = Vec::new();
        self.with_at_close(|at_close| {
            let Some(at_close) = at_close else { return };
            for (_, waker) in &mut at_close.wakers {
                waiting.push(mem::replace(waker, Waker::noop().clone()));
            }
        });
        wake_all(waiting);
    }

    #[inline]
    fn is_waiter(&self, place: Option<usize>, waker: &Waker) -> bool {
        self.with_at_close(|at_close| {
            let known = at_close.as_ref().zip(place).and_then(|(at_close, key)| at_close.wakers.get(key));
            known.is_some_and(|known| known.will_wake(waker))
        })
    }

    /// Puts `waker` in its place; returns the one it replaces, or itself when the stream is closed by now.
    #[inline]
    fn add_waiter(&self, place: &mut Option<usize>, waker: Waker) -> Option<Waker> {
        if self.is_closed() {
            return Some(waker);
        }
        self.with_at_close(|at_close| {
            let wakers = &mut at_close.get_or_insert_default().wakers;
            match place.and_then(|key| wakers.get_mut(key)) {
                Some(known) => Some(mem::replace(known, waker)),
                None => {
                    *place = Some(wakers.insert(waker));
                    None
                }
            }
        })
    }

    /// Why the stream was closed, when the connection broke.
    #[inline]
    pub(crate) fn cause(&self) -> Option<Arc<io::Error>> {
        self.with_at_close(|at_close| at_close.as_ref()?.cause.clone())
    }

    /// Whether the connection broke.
    #[inline]
    pub(crate) fn is_broken(&self) -> bool {
        self.with_at_close(|at_close| at_close.as_ref().is_some_and(|at_close| at_close.cause.is_some()))
    }

    /// Has a look at what happens at the close, or changes it. It is out of its place meanwhile, so `change` runs no foreign
    /// code: nothing that wakes, drops or clones what is the user's.
    #[inline]
    pub(super) fn with_at_close<T>(&self, change: impl FnOnce(&mut Option<Box<AtClose>>) -> T) -> T {
        let mut at_close = self.at_close.take();
        let result = change(&mut at_close);
        self.at_close.set(at_close);
        result
    }

    #[inline]
    fn forget_waiter(&self, place: Option<usize>) {
        let Some(key) = place else { return };
        // When the stream has closed meanwhile, the list is gone; no new one is made, so keys stay valid.
        let forgotten =
            self.with_at_close(|at_close| at_close.as_mut().and_then(|at_close| at_close.wakers.try_remove(key)));
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = IOStream::from_tcp(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        for _ in 0..3 {
            let mut waiting: Vec<ClosedFuture> = (0..10).map(|_| stream.closed()).collect();
            for closed in &mut waiting {
                assert!(Pin::new(closed).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            let known =
                || stream.inner.with_at_close(|at_close| at_close.as_ref().map_or(0, |at_close| at_close.wakers.len()));
            assert_eq!(known(), 10);
            drop(waiting);
            assert_eq!(known(), 0);
        }
    }
}
