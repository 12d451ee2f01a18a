use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// Wakes one task, again and again. A ring that nobody waits for is kept.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Bell {
        Bell::default()
    }

    /// Wakes whoever waits.
    pub fn ring(&self) {
        self.rung.set(true);
        // The waker stays for the next time: a reference count up and down would be no work of the loop's.
        if let Some(waker) = &*self.waiter.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Waits for a ring and takes it.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.rung.replace(false) {
                return Poll::Ready(());
            }
            let mut waiter = self.waiter.borrow_mut();
            if !waiter.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waiter = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
