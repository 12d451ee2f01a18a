//! A gate many futures wait at, which one call opens for all of them.

use std::rc::Rc;

use ioloop::sync::{Condition, ConditionWait};

/// What `GET /park` waits at and `GET /release` opens. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<Condition>);

impl Gate {
    /// A gate nobody waits at.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Waits until the next [`open`](Gate::open).
    pub fn wait(&self) -> ConditionWait<'_> {
        self.0.wait()
    }

    /// Lets everybody through who waits now, and returns how many that were.
    pub fn open(&self) -> usize {
        let waiting = self.0.waiting();
        self.0.notify_all();
        waiting
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn opening_lets_through_who_waits_and_nobody_who_comes_later() {
        let gate = Gate::new();
        let (mut early, mut gone) = (gate.wait(), gate.wait());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut early).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut gone).poll(&mut cx).is_pending());
        drop(gone);

        assert_eq!(gate.open(), 1);
        let mut late = gate.wait();
        assert!(Pin::new(&mut early).poll(&mut cx).is_ready());
        assert!(Pin::new(&mut late).poll(&mut cx).is_pending());
    }
}
