use std::{
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use httpserver::sync::ConditionPlace;

use super::{
    channel::{Channel, Span},
    cursor::Cursor,
    history::{Found, History},
    presence::Seat,
    update::{Missed, SlowPolicy, Update},
};

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on. If the broker has yet to begin with the channel, which takes a shared one a round trip:
    /// from then on.
    Now,
    /// With the latest messages, at most so many, as far as the channel has them.
    Latest(usize),
    /// Behind this cursor, with everything that its owner has not seen.
    After(Cursor),
    /// As behind a cursor that the channel does not know: [`Update::Reset`], and what the channel has.
    Unknown,
}

/// Receives the messages of a channel, at its own pace; made by [`Hub::subscribe`](super::Hub::subscribe).
///
/// It is a place in the channel's history and holds no messages, so it costs the same whether it is read or not: about a
/// hundred bytes, and 32 more in the channel while it waits.
pub struct Subscription {
    channel: Rc<Channel>,
    /// Its place among those who are woken when there is something new.
    waits: ConditionPlace,
    place: Place,
    shared: bool,
    policy: SlowPolicy,
    /// Counts it as present for as long as it lives.
    seat: Option<Box<Seat>>,
}

/// Where a subscription stands.
enum Place {
    /// In front of the message with this number.
    Before(u64),
    /// It has missed something, or where it stands cannot be said yet: the broker has not begun, or the cursor is ahead of the
    /// channel. Boxed, because it is rare and large.
    Unresolved(Box<Start>),
}

impl Subscription {
    /// The caller has made sure that there may be one more.
    #[inline]
    pub(super) fn new(channel: Rc<Channel>, start: Start, shared: bool) -> Subscription {
        channel.subscribers.set(channel.subscribers.get() + 1);
        let resolved = channel.history.borrow().as_ref().and_then(|history| resolve(history, start, shared));
        let place = match resolved {
            Some((number, None)) => Place::Before(number),
            // What it has missed is told when it asks.
            _ => Place::Unresolved(Box::new(start)),
        };
        Subscription {
            channel,
            waits: ConditionPlace::default(),
            place,
            shared,
            policy: SlowPolicy::DropOldest,
            seat: None,
        }
    }

    /// What happens when it does not keep up; [`SlowPolicy::DropOldest`] by default.
    #[inline]
    #[must_use]
    pub fn policy(mut self, policy: SlowPolicy) -> Self {
        self.policy = policy;
        self
    }

    #[inline]
    pub(super) fn with_seat(mut self, seat: Option<Seat>) -> Self {
        self.seat = seat.map(Box::new);
        self
    }

    /// What comes next, waiting for it if necessary. `None` is the end, for a subscription that was too slow and is to be
    /// [disconnected](SlowPolicy::Disconnect).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the future has received nothing.
    #[inline]
    pub async fn next(&mut self) -> Option<Update> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Subscription::next) for futures written by hand.
    #[inline]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            if let Poll::Ready(update) = self.try_next() {
                return Poll::Ready(update);
            }
            // Ready when something was published since it began to wait, which may have been received already.
            if self.channel.news.poll_wait(&mut self.waits, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What comes next if it is there; pending, with nobody woken, if it is not.
    #[inline]
    pub fn try_next(&mut self) -> Poll<Option<Update>> {
        let history = self.channel.history.borrow();
        let Some(history) = &*history else { return Poll::Pending };
        let mut number = match &self.place {
            Place::Before(number) => *number,
            Place::Unresolved(start) => {
                let Some((number, missed)) = resolve(history, **start, self.shared) else { return Poll::Pending };
                self.place = Place::Before(number);
                if let Some(missed) = missed {
                    return Poll::Ready(Some(missed.into()));
                }
                number
            }
        };
        if let Some(missed) = history.missed(number) {
            self.place = Place::Before(history.first());
            let is_slow = matches!(missed, Missed::Some(_));
            return Poll::Ready(if is_slow && self.policy == SlowPolicy::Disconnect {
                None
            } else {
                Some(missed.into())
            });
        }
        while let Some(message) = history.get(number) {
            number += 1;
            self.place = Place::Before(number);
            if self.policy != SlowPolicy::Coalesce || !message.is_superseded() {
                return Poll::Ready(Some(Update::Message(Rc::clone(message))));
            }
        }
        Poll::Pending
    }

    /// The cursor to come back with: behind everything that was received. `None` while the channel's broker has not begun.
    #[inline]
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.place {
            Place::Before(number) => self.channel.history.borrow().as_ref().map(|history| history.cursor(*number)),
            Place::Unresolved(start) => match **start {
                Start::After(cursor) => Some(cursor),
                _ => None,
            },
        }
    }

    /// The name of the channel.
    #[inline]
    pub fn channel(&self) -> &str {
        &self.channel.name
    }

    #[inline]
    pub(super) fn state(&self) -> &Channel {
        &self.channel
    }

    /// What there is for it, if it has missed nothing and receives all messages: whoever stands at the same place gets the same.
    #[inline]
    pub(super) fn span(&self) -> Option<Span> {
        let Place::Before(from) = self.place else { return None };
        if self.policy == SlowPolicy::Coalesce {
            return None;
        }
        let history = self.channel.history.borrow();
        let history = history.as_ref().filter(|history| history.missed(from).is_none())?;
        Some(Span { from, to: history.next() })
    }

    /// Goes on behind message `number`, all before having been received.
    #[inline]
    pub(super) fn skip_to(&mut self, number: u64) {
        self.place = Place::Before(number);
    }
}

/// The number of the message to begin with, and what has been missed before it. `None` when it is too early to say.
fn resolve(history: &History, start: Start, shared: bool) -> Option<(u64, Option<Missed>)> {
    let cursor = match start {
        Start::Now => return Some((history.next(), None)),
        Start::Latest(count) => return Some((history.latest(count), None)),
        Start::Unknown => return Some((history.first(), Some(Missed::Everything))),
        Start::After(cursor) => cursor,
    };
    match history.find(cursor) {
        Found::At(number) => Some((number, None)),
        Found::Ahead if shared => None,
        Found::Ahead | Found::OtherEpoch => Some((history.first(), Some(Missed::Everything))),
        Found::Lost => Some((history.first(), Some(Missed::Some(None)))),
    }
}

impl Drop for Subscription {
    #[inline]
    fn drop(&mut self) {
        self.channel.news.leave(&mut self.waits);
        self.channel.subscribers.set(self.channel.subscribers.get() - 1);
        self.channel.used.set(self.channel.now());
    }
}

impl fmt::Debug for Subscription {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channel", &self.channel())
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_waits_is_small() {
        let size = size_of::<Subscription>();
        assert!(size <= 56, "{size} bytes");
    }
}
