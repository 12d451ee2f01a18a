//! Which of a host's addresses a connection is made to (RFC 8305).
//!
//! The addresses are tried in turn, families alternating, each 250 ms after the one before it or as soon as one has failed.
//! The first that connects wins, and the others are given up. So a family that does not work costs a quarter of a second
//! and not the system's two minutes.
//!
//! Of the RFC's parts two are not here. There is no waiting for the second of two DNS answers (section 3), because a
//! [`Resolver`](crate::resolver::Resolver) returns both at once. And nothing is remembered of earlier connections
//! (section 4), because that belongs to whoever makes many.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use ioloop::sleep;

/// The RFC's "Connection Attempt Delay", as section 8 recommends it.
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of `addrs` that answers, and returns `None` when none does. Failures are noted as they come, so
/// that a caller whose time is up knows of them.
pub(crate) async fn race<T, E, F>(
    addrs: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    failures: &RefCell<Vec<E>>,
) -> Option<T>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = interleave(addrs).into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut delay = sleep(Duration::ZERO);
    let mut is_due = true;
    poll_fn(|cx| {
        loop {
            match poll_attempts(&mut running, cx, failures) {
                Poll::Ready(Some(connected)) => return Poll::Ready(Some(connected)),
                // One has failed: nothing is gained by waiting for the next to be due.
                Poll::Ready(None) => is_due = true,
                Poll::Pending => {}
            }
            if !is_due && Pin::new(&mut delay).poll(cx).is_pending() {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(addr) => {
                    running.push(Box::pin(connect(addr)));
                    delay = sleep(ATTEMPT_DELAY);
                    is_due = false;
                }
                None if running.is_empty() => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Ready with a connection, or with nothing when attempts have failed.
fn poll_attempts<T, E, F>(
    running: &mut Vec<Pin<Box<F>>>,
    cx: &mut Context<'_>,
    failures: &RefCell<Vec<E>>,
) -> Poll<Option<T>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut connected = None;
    let before = running.len();
    running.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
        // The older attempt wins when two are done at once. The other one is closed.
        Poll::Ready(Ok(connection)) => {
            connected.get_or_insert(connection);
            false
        }
        Poll::Ready(Err(error)) => {
            failures.borrow_mut().push(error);
            false
        }
        Poll::Pending => true,
    });
    if connected.is_some() || running.len() < before { Poll::Ready(connected) } else { Poll::Pending }
}

/// The system's order within each family, and the families in turns, beginning with the one that the system prefers.
#[inline]
fn interleave(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let prefers_ipv6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let count = addrs.len();
    let (preferred, other): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv6() == prefers_ipv6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut sorted = Vec::with_capacity(count);
    while sorted.len() < count {
        sorted.extend(preferred.next());
        sorted.extend(other.next());
    }
    sorted
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use ioloop::{IOLoop, VirtualClock};
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// "4a" and "6b" stand for an address of each family.
    fn addr(name: &str) -> SocketAddr {
        let last = name.as_bytes()[1] - b'a' + 1;
        match &name[..1] {
            "4" => ([192, 0, 2, last], 80).into(),
            _ => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)], 80).into(),
        }
    }

    /// What happened, and when, in milliseconds.
    type Log = Rc<RefCell<Vec<(u128, String)>>>;

    /// An attempt that is given up says so.
    struct Attempt(Log, VirtualClock, &'static str, bool);

    impl Drop for Attempt {
        fn drop(&mut self) {
            if !self.3 {
                self.0.borrow_mut().push((self.1.elapsed().as_millis(), format!("close {}", self.2)));
            }
        }
    }

    /// Races to hosts given as name, time in milliseconds and whether they answer. Returns who has won, and what happened.
    fn race_to(
        hosts: &'static [(&'static str, u32, bool)],
        limit: Option<Duration>,
    ) -> (Option<&'static str>, Vec<(u128, String)>, usize) {
        let log = Log::default();
        let clock = VirtualClock::auto_advancing();
        let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
        let failures = RefCell::new(Vec::new());
        let connect = |to: SocketAddr| {
            let &(name, time, answers) = hosts.iter().find(|(name, ..)| addr(name) == to).unwrap();
            let (log, clock) = (log.clone(), clock.clone());
            async move {
                log.borrow_mut().push((clock.elapsed().as_millis(), format!("try {name}")));
                let mut attempt = Attempt(log, clock, name, false);
                sleep(time * MS).await;
                attempt.3 = true;
                if answers { Ok(name) } else { Err(name) }
            }
        };
        let addrs = hosts.iter().map(|(name, ..)| addr(name)).collect();
        let winner = ioloop.run_sync(async {
            let race = race(addrs, connect, &failures);
            match limit {
                Some(limit) => ioloop::timeout(limit, race).await.ok().flatten(),
                None => race.await,
            }
        });
        let (happened, failed) = (log.take(), failures.borrow().len());
        (winner, happened, failed)
    }

    fn log(events: &[(u128, &str)]) -> Vec<(u128, String)> {
        events.iter().map(|&(at, event)| (at, event.to_owned())).collect()
    }

    #[test]
    fn the_first_address_wins_when_it_answers_in_time() {
        let (winner, happened, failed) = race_to(&[("6a", 249, true), ("4a", 0, true)], None);
        assert_eq!((winner, failed), (Some("6a"), 0));
        assert_eq!(happened, log(&[(0, "try 6a")]));
    }

    #[test]
    fn the_next_address_is_tried_after_250_ms_and_the_loser_is_closed() {
        let (winner, happened, _) = race_to(&[("6a", 1000, true), ("6b", 1000, true), ("4a", 10, true)], None);
        assert_eq!(winner, Some("4a"));
        assert_eq!(happened, log(&[(0, "try 6a"), (250, "try 4a"), (260, "close 6a")]));
    }

    #[test]
    fn an_earlier_attempt_may_still_win() {
        let (winner, happened, _) = race_to(&[("6a", 260, true), ("4a", 100, true)], None);
        assert_eq!(winner, Some("6a"));
        assert_eq!(happened, log(&[(0, "try 6a"), (250, "try 4a"), (260, "close 4a")]));
    }

    #[test]
    fn after_a_failure_the_next_address_is_tried_at_once() {
        let (winner, happened, failed) =
            race_to(&[("6a", 0, false), ("4a", 10, false), ("6b", 500, true), ("4b", 100, false)], None);
        assert_eq!((winner, failed), (Some("6b"), 3));
        // 4b is tried while 6b goes on.
        assert_eq!(happened, log(&[(0, "try 6a"), (0, "try 4a"), (10, "try 6b"), (260, "try 4b")]));
    }

    #[test]
    fn the_delay_counts_from_the_latest_attempt() {
        let hosts = &[("6a", 300, false), ("4a", 1000, true), ("6b", 1000, true), ("4b", 1000, true)];
        let (winner, happened, _) = race_to(hosts, None);
        assert_eq!(winner, Some("4a"));
        let expected =
            [(0, "try 6a"), (250, "try 4a"), (300, "try 6b"), (550, "try 4b"), (1250, "close 6b"), (1250, "close 4b")];
        assert_eq!(happened, log(&expected));
    }

    #[test]
    fn all_failures_are_told() {
        let (winner, happened, failed) = race_to(&[("6a", 10, false), ("4a", 20, false)], None);
        assert_eq!((winner, failed), (None, 2));
        assert_eq!(happened, log(&[(0, "try 6a"), (10, "try 4a")]));
    }

    #[test]
    fn without_addresses_nobody_wins() {
        assert_eq!(race_to(&[], None).0, None);
    }

    #[test]
    fn a_race_that_is_given_up_closes_all_attempts_and_its_failures_are_known() {
        let (winner, happened, failed) =
            race_to(&[("6a", 100, false), ("4a", 5000, true), ("6b", 5000, true)], Some(400 * MS));
        assert_eq!((winner, failed), (None, 1));
        let expected = [(0, "try 6a"), (100, "try 4a"), (350, "try 6b"), (400, "close 4a"), (400, "close 6b")];
        assert_eq!(happened, log(&expected));
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let sorted = |names: &[&str]| interleave(names.iter().map(|name| addr(name)).collect());
        let expected = |names: &[&str]| names.iter().map(|name| addr(name)).collect::<Vec<_>>();
        assert_eq!(sorted(&["6a", "6b", "6c", "4a"]), expected(&["6a", "4a", "6b", "6c"]));
        assert_eq!(sorted(&["4a", "6a", "6b", "4b"]), expected(&["4a", "6a", "4b", "6b"]));
        assert_eq!(sorted(&["4a", "4b"]), expected(&["4a", "4b"]));
        assert_eq!(sorted(&[]), []);
    }

    proptest! {
        #[test]
        fn no_address_is_lost_or_moved_within_its_family(families in proptest::collection::vec(any::<bool>(), 0..20)) {
            let addrs: Vec<SocketAddr> = families
                .iter()
                .enumerate()
                .map(|(i, &v6)| if v6 { ([0, 0, 0, 0, 0, 0, 0, i as u16], 1).into() } else { ([0, 0, 0, i as u8], 1).into() })
                .collect();
            let sorted = interleave(addrs.clone());
            for v6 in [false, true] {
                let of = |addrs: &[SocketAddr]| addrs.iter().filter(|addr| addr.is_ipv6() == v6).copied().collect::<Vec<_>>();
                prop_assert_eq!(of(&addrs), of(&sorted));
            }
        }
    }
}
