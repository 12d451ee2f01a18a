//! What an application notes about the requests of a test client. The client finds it with the answer.
//!
//! Nothing of it goes over the connection. A handler runs inside of the future that serves its connection, and the client
//! polls that future: whenever it does, the notes of the request under way are at hand in a variable of the thread. An upgraded
//! connection goes on in it, so a WebSocket notes in those of its handshake.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
};

#[cfg(feature = "templates")]
use super::RenderedTemplate;
#[cfg(feature = "templates")]
use crate::exchange::Exchange;

/// What was noted about one request. A handle: clones are the same notes.
#[derive(Clone, Default)]
pub(super) struct Notes {
    /// In the order in which they were begun.
    #[cfg(feature = "templates")]
    pub(super) templates: Rc<RefCell<Vec<RenderedTemplate>>>,
}

/// The notes of the request that is under way on a connection.
#[derive(Clone, Default)]
pub(super) struct Slot(Rc<RefCell<Notes>>);

thread_local! {
    /// Of the connection that is being polled, if a test client has made it.
    static CURRENT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

impl Slot {
    /// Fresh notes, for the request that is sent next.
    pub(super) fn begin(&self) -> Notes {
        let notes = Notes::default();
        self.0.replace(notes.clone());
        notes
    }

    /// Serves a connection, whose requests are noted here.
    pub(super) async fn around<F: Future>(self, serving: F) -> F::Output {
        let mut serving = pin!(serving);
        poll_fn(|cx| {
            let _entered = Entered::new(self.clone());
            serving.as_mut().poll(cx)
        })
        .await
    }
}

#[cfg(feature = "templates")]
impl Notes {
    /// The notes of the request that `exchange` is of. `None` when no test client has sent it.
    pub(super) fn of(exchange: &Exchange) -> Option<Notes> {
        let extensions = exchange.extensions();
        if let Some(notes) = extensions.get::<Notes>() {
            return Some(Notes::clone(&notes));
        }
        let notes = CURRENT.with_borrow(|slot| slot.as_ref().map(|slot| slot.0.borrow().clone()))?;
        // A handler that goes on behind its answer is not to note in those of the request that follows.
        extensions.set(notes.clone());
        Some(notes)
    }
}

/// Polls nest, when an application asks another one. The one around it is put back.
struct Entered(Option<Slot>);

impl Entered {
    fn new(slot: Slot) -> Entered {
        Entered(CURRENT.replace(Some(slot)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.replace(self.0.take());
        drop(left);
    }
}
