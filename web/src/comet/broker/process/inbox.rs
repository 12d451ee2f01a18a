use std::{
    future::poll_fn,
    mem,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use httpserver::Bytes;

use crate::comet::Publication;

/// What other loops have published, for a loop that will look.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    letters: Vec<Letter>,
    /// Of the task that waits for letters. Taken by the first that comes, so that the others wake nobody.
    waker: Option<Waker>,
    closed: bool,
}

/// A message of a channel, or the place where its messages begin.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) channel: Arc<str>,
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) message: Option<SharedMessage>,
}

/// A [`Publication`] that can be sent to other threads.
#[derive(Clone)]
pub(super) struct SharedMessage {
    pub(super) data: Bytes,
    pub(super) key: Option<Arc<str>>,
}

impl SharedMessage {
    #[inline]
    pub(super) fn new(publication: Publication) -> SharedMessage {
        SharedMessage { data: publication.data, key: publication.key.map(|key| Arc::from(&*key)) }
    }

    /// What it takes in the log, about.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.data.len() + self.key.as_ref().map_or(0, |key| key.len())
    }

    #[inline]
    pub(super) fn into_publication(self) -> Publication {
        Publication { data: self.data, key: self.key.map(|key| Rc::from(&*key)) }
    }
}

impl Inbox {
    /// Adds a letter. Who is to be woken for it, if it is the first since the loop has looked.
    #[inline]
    pub(super) fn push(&self, letter: Letter) -> Option<Waker> {
        let mut state = self.lock();
        state.letters.push(letter);
        state.waker.take()
    }

    /// All letters, once there is one; `None` when the inbox is closed.
    #[inline]
    pub(super) async fn take(&self) -> Option<Vec<Letter>> {
        poll_fn(|cx| {
            // Cloning a waker is foreign code, so it is done in front of the lock.
            let waker = cx.waker().clone();
            let mut state = self.lock();
            if state.closed {
                return Poll::Ready(None);
            }
            if !state.letters.is_empty() {
                return Poll::Ready(Some(mem::take(&mut state.letters)));
            }
            let previous = state.waker.replace(waker);
            drop(state);
            drop(previous);
            Poll::Pending
        })
        .await
    }

    /// Ends the task that waits.
    #[inline]
    pub(super) fn close(&self) {
        let (letters, waker) = {
            let mut state = self.lock();
            state.closed = true;
            (mem::take(&mut state.letters), state.waker.take())
        };
        drop(letters);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Wake},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn letter(number: u64) -> Letter {
        Letter { channel: "news".into(), epoch: 1, number, message: None }
    }

    #[test]
    fn many_letters_wake_a_loop_once() {
        let (inbox, count) = (Inbox::default(), Arc::<Count>::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        for round in 1..=3 {
            let mut take = pin!(inbox.take());
            assert!(take.as_mut().poll(&mut cx).is_pending());
            (0..100).filter_map(|number| inbox.push(letter(number))).for_each(Waker::wake);
            assert_eq!(count.0.load(Ordering::Relaxed), round);
            let Poll::Ready(Some(letters)) = take.poll(&mut cx) else { panic!("there are letters") };
            assert!(letters.iter().map(|letter| letter.number).eq(0..100));
        }
    }

    #[test]
    fn a_closed_inbox_wakes_who_waits_and_has_nothing_more() {
        let (inbox, count) = (Inbox::default(), Arc::<Count>::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut take = pin!(inbox.take());
        assert!(take.as_mut().poll(&mut cx).is_pending());
        inbox.close();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(matches!(take.poll(&mut cx), Poll::Ready(None)));
    }
}
