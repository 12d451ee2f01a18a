//! The context itself: an immutable list that grows at its head, and which one is current.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::CallbackException;

/// One scope and those around it. `None` in place of a node is the empty context.
pub(crate) struct Node {
    parent: Option<Rc<Node>>,
    pub(super) entry: Entry,
}

/// What a scope brings.
pub(super) enum Entry {
    Value { key: usize, value: Box<dyn Any> },
    Boundary(Rc<Boundary>),
}

/// What the clones of an [`ErrorBoundary`](super::ErrorBoundary) and the scopes made by it share. How it is asked is in
/// `boundary`.
pub(super) struct Boundary {
    /// `None` when deactivated.
    handler: RefCell<Option<Rc<Handler>>>,
}

pub(super) type Handler = dyn Fn(&CallbackException) -> bool;

impl Boundary {
    pub(super) fn new(handler: Rc<Handler>) -> Boundary {
        Boundary { handler: RefCell::new(Some(handler)) }
    }

    pub(super) fn is_active(&self) -> bool {
        self.handler.borrow().is_some()
    }

    pub(super) fn handler(&self) -> Option<Rc<Handler>> {
        self.handler.borrow().clone()
    }

    /// Deactivates it. The handler is the caller's to drop: its destructor is foreign code.
    pub(super) fn take_handler(&self) -> Option<Rc<Handler>> {
        self.handler.take()
    }
}

impl Node {
    /// A scope within `parent`. What the new one covers for good is left out.
    #[inline]
    pub(super) fn within(mut parent: Option<Rc<Node>>, entry: Entry) -> Rc<Node> {
        while let Some(node) = &parent {
            if !entry.covers(&node.entry) {
                break;
            }
            parent = node.parent.clone();
        }
        Rc::new(Node { parent, entry })
    }

    pub(super) fn parent(&self) -> Option<&Rc<Node>> {
        self.parent.as_ref()
    }
}

impl Entry {
    fn covers(&self, outer: &Entry) -> bool {
        match (self, outer) {
            (Entry::Value { key, .. }, Entry::Value { key: outer, .. }) => key == outer,
            (_, Entry::Boundary(outer)) => !outer.is_active(),
            _ => false,
        }
    }
}

/// One by one: a long chain dropped by recursion would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(node) = next {
            next = Rc::into_inner(node).and_then(|mut last| last.parent.take());
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Node>>> = const { RefCell::new(None) };
    /// Whether there is a current one: without a destructor, and so a plain load for those who use no contexts.
    static ANY: Cell<bool> = const { Cell::new(false) };
}

/// The current context. While the thread is ending there is none.
#[inline]
pub(crate) fn current() -> Option<Rc<Node>> {
    if is_empty() {
        return None;
    }
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

#[inline]
pub(super) fn is_empty() -> bool {
    !ANY.get()
}

/// Makes `context` the current one until the guard is dropped.
pub(crate) fn enter(context: Option<Rc<Node>>) -> Entered {
    Entered { previous: replace(context) }
}

#[must_use = "the context is left when this is dropped"]
pub(crate) struct Entered {
    previous: Option<Rc<Node>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Dropped here, after the borrow: with the last holder go the values, and their destructors are foreign code.
        let left = replace(self.previous.take());
        drop(left);
    }
}

fn replace(context: Option<Rc<Node>>) -> Option<Rc<Node>> {
    let any = context.is_some();
    let replaced = CURRENT.try_with(|current| current.replace(context));
    ANY.set(any && replaced.is_ok());
    replaced.ok().flatten()
}
