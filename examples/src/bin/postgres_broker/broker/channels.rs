//! Layer: web.
//!
//! The channels that the hub has, and how far each has been read.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use web::comet::broker::Feed;

#[derive(Default)]
pub struct Channels {
    followed: RefCell<HashMap<Rc<str>, Followed>>,
    next_life: Cell<u64>,
}

struct Followed {
    feed: Feed,
    /// A channel that has gone and come back has another, so that what was read for the first is not taken for the second's.
    life: u64,
    /// All messages up to this id have been delivered. `None` before the feed has begun.
    position: Option<i64>,
    /// There may be something to read.
    is_due: bool,
}

/// A channel to be read.
#[derive(Clone)]
pub struct Due {
    pub name: Rc<str>,
    pub position: Option<i64>,
    life: u64,
}

impl Channels {
    pub fn insert(&self, feed: Feed) {
        let life = self.next_life.get();
        self.next_life.set(life + 1);
        let followed = Followed { life, position: None, is_due: true, feed: feed.clone() };
        let previous = self.followed.borrow_mut().insert(feed.channel().into(), followed);
        drop(previous);
    }

    pub fn remove(&self, name: &str) {
        let gone = self.followed.borrow_mut().remove(name);
        drop(gone);
    }

    pub fn names(&self) -> Vec<String> {
        self.followed.borrow().keys().map(|name| name.to_string()).collect()
    }

    /// Has a channel read, if it is one of the hub's; all of them if the name is empty.
    pub fn mark(&self, name: &str) {
        let mut followed = self.followed.borrow_mut();
        if name.is_empty() {
            followed.values_mut().for_each(|channel| channel.is_due = true);
        } else if let Some(channel) = followed.get_mut(name) {
            channel.is_due = true;
        }
    }

    /// Has all of them begin again.
    pub fn begin_again(&self) {
        for channel in self.followed.borrow_mut().values_mut() {
            (channel.position, channel.is_due) = (None, true);
        }
    }

    /// Some of those that are to be read, which they are now.
    pub fn take_due(&self, most: usize) -> Vec<Due> {
        let mut followed = self.followed.borrow_mut();
        let due = followed.iter_mut().filter(|(_, channel)| channel.is_due).take(most).map(|(name, channel)| {
            channel.is_due = false;
            Due { name: name.clone(), position: channel.position, life: channel.life }
        });
        due.collect()
    }

    /// The feed of a channel, unless it has gone since it was due.
    pub fn feed(&self, due: &Due) -> Option<Feed> {
        let followed = self.followed.borrow();
        followed.get(&due.name).filter(|channel| channel.life == due.life).map(|channel| channel.feed.clone())
    }

    /// Says how far it has been read, and whether there is more.
    pub fn advance(&self, due: &Due, position: i64, is_due: bool) {
        let mut followed = self.followed.borrow_mut();
        if let Some(channel) = followed.get_mut(&due.name).filter(|channel| channel.life == due.life) {
            channel.position = Some(position);
            channel.is_due |= is_due;
        }
    }
}
