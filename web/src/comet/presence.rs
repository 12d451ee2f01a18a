//! Who is there.

use std::{
    collections::HashMap,
    fmt,
    rc::{Rc, Weak},
    time::Instant,
};

use httpserver::Bytes;

use super::{channel::Channel, hub::HubState, tables};

/// Somebody who is present in a channel, on one connection or several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Who it is, as the application has named it.
    pub id: Rc<str>,
    /// What others may know, one JSON text; what the first connection said.
    pub info: Option<Bytes>,
    /// How many connections it has. 0 for one that has just gone, and may come back within the
    /// [grace](super::HubOptions::presence_grace).
    pub connections: usize,
}

/// A member has come or gone; see [`Hub::on_presence`](super::Hub::on_presence).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PresenceEvent {
    /// The name of the channel.
    pub channel: Rc<str>,
    /// The member.
    pub member: Member,
    /// Whether it is the first connection that has come, or the last one whose grace is over.
    pub change: PresenceChange,
}

/// What a member did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceChange {
    /// It was not there, and has come.
    Joined,
    /// Its last connection has ended, and it has not come back.
    Left,
}

/// The members of a channel.
#[derive(Debug, Default)]
pub(super) struct Members {
    present: HashMap<Rc<str>, Present>,
}

#[derive(Debug)]
struct Present {
    info: Option<Bytes>,
    connections: usize,
    /// How often its last connection has ended: a grace belongs to one of these times.
    departures: u64,
}

/// A member whose last connection has ended.
pub(super) struct Leaving {
    pub(super) due: Instant,
    channel: Rc<Channel>,
    id: Rc<str>,
    departure: u64,
}

impl Channel {
    /// Who is present, in no order.
    #[inline]
    pub(super) fn list_members(&self) -> Vec<Member> {
        let members = self.members.borrow();
        let present = members.iter().flat_map(|members| &members.present);
        present.map(|(id, present)| present.member(id)).collect()
    }

    /// One connection more. Returns the member if it is its first.
    #[inline]
    fn join(&self, id: &Rc<str>, info: Option<Bytes>) -> Option<Member> {
        let mut members = self.members.borrow_mut();
        let present = &mut members.get_or_insert_default().present;
        if let Some(present) = present.get_mut(id) {
            present.connections += 1;
            return None;
        }
        let newcomer = Present { info, connections: 1, departures: 0 };
        let member = newcomer.member(id);
        present.insert(Rc::clone(id), newcomer);
        Some(member)
    }

    /// One connection less. Returns the departure if it was the last.
    #[inline]
    fn part(&self, id: &Rc<str>) -> Option<u64> {
        let mut members = self.members.borrow_mut();
        let present = members.as_mut()?.present.get_mut(id)?;
        present.connections -= 1;
        present.departures += 1;
        (present.connections == 0).then_some(present.departures)
    }

    /// Takes a member out whose grace is over, unless it has come back.
    #[inline]
    fn remove(&self, id: &Rc<str>, departure: u64) -> Option<Member> {
        let mut members = self.members.borrow_mut();
        let present = &mut members.as_mut()?.present;
        let gone = present.get(id).filter(|known| known.connections == 0 && known.departures == departure)?;
        let member = gone.member(id);
        tables::remove(present, id);
        if present.is_empty() {
            *members = None;
        }
        Some(member)
    }
}

impl Members {
    /// Puts the table to memory that is allocated now, and returns what is left.
    #[inline]
    pub(super) fn move_ahead(&mut self) -> impl Sized + use<> {
        tables::move_ahead(&mut self.present)
    }
}

impl Present {
    #[inline]
    fn member(&self, id: &Rc<str>) -> Member {
        Member { id: Rc::clone(id), info: self.info.clone(), connections: self.connections }
    }
}

impl Leaving {
    /// Ends the grace.
    #[inline]
    pub(super) fn finish(self) -> Option<PresenceEvent> {
        let member = self.channel.remove(&self.id, self.departure)?;
        self.channel.used.set(self.due);
        Some(PresenceEvent { channel: Rc::clone(&self.channel.name), member, change: PresenceChange::Left })
    }
}

/// A connection's part in the presence of a member. Dropping it ends that.
pub(super) struct Seat {
    hub: Weak<HubState>,
    channel: Rc<Channel>,
    id: Rc<str>,
}

impl Seat {
    #[inline]
    pub(super) fn take(hub: &Rc<HubState>, channel: &Rc<Channel>, id: Rc<str>, info: Option<Bytes>) -> Seat {
        let newcomer = channel.join(&id, info);
        let seat = Seat { hub: Rc::downgrade(hub), channel: Rc::clone(channel), id };
        if let Some(member) = newcomer {
            hub.tell(PresenceEvent { channel: Rc::clone(&channel.name), member, change: PresenceChange::Joined });
        }
        seat
    }
}

impl Drop for Seat {
    #[inline]
    fn drop(&mut self) {
        let Some(departure) = self.channel.part(&self.id) else { return };
        if let Some(hub) = self.hub.upgrade() {
            let due = self.channel.now() + self.channel.options.grace;
            hub.leave(Leaving { due, channel: Rc::clone(&self.channel), id: Rc::clone(&self.id), departure });
        }
    }
}

impl fmt::Debug for Seat {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("id", &self.id).finish_non_exhaustive()
    }
}
