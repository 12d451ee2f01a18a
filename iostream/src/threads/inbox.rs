use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A queue from any thread to one task.
pub(super) struct Inbox<T>(Mutex<State<T>>);

struct State<T> {
    queue: VecDeque<T>,
    /// Of the task that waits.
    waker: Option<Waker>,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Inbox<T> {
        Inbox(Mutex::new(State { queue: VecDeque::new(), waker: None, closed: false }))
    }

    /// Returns the message when nobody is going to take it.
    pub(super) fn send(&self, message: T) -> Result<(), T> {
        let waker = {
            let mut state = self.lock();
            if state.closed {
                return Err(message);
            }
            state.queue.push_back(message);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<T> {
        // Cloned outside of the lock.
        let waker = cx.waker().clone();
        let mut state = self.lock();
        match state.queue.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                let previous = state.waker.replace(waker);
                drop(state);
                drop(previous);
                Poll::Pending
            }
        }
    }

    /// Closes it when the returned value is dropped: then it takes nothing more, and drops what is queued.
    pub(super) fn close_at_end(&self) -> Closing<'_, T> {
        Closing(self)
    }

    fn close(&self) {
        let queue = {
            let mut state = self.lock();
            state.closed = true;
            mem::take(&mut state.queue)
        };
        drop(queue);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Closing<'a, T>(&'a Inbox<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}
