use std::{cell::RefCell, collections::HashMap};

use super::{Broker, Feed, Published, random_epoch};
use crate::comet::{Cursor, Publication, tables};

/// The broker of a hub that is alone: it numbers the messages of each channel from 1, in a random epoch, and passes them on at
/// once.
///
/// The numbers of a channel end with it, which is when it has no messages, nor anybody who is interested. It has a new epoch
/// when it comes back.
#[derive(Debug, Default)]
pub struct MemoryBroker {
    channels: RefCell<HashMap<String, Numbers>>,
}

#[derive(Debug)]
struct Numbers {
    feed: Feed,
    last: Cursor,
}

impl MemoryBroker {
    /// A broker without channels.
    #[inline]
    pub fn new() -> MemoryBroker {
        MemoryBroker::default()
    }

    /// The next number of a channel.
    #[inline]
    fn allot(&self, channel: &str) -> Option<(Feed, Cursor)> {
        let mut channels = self.channels.borrow_mut();
        let Numbers { feed, last } = channels.get_mut(channel)?;
        *last = Cursor::new(last.epoch(), (last.position().0 + 1, 0));
        Some((feed.clone(), *last))
    }
}

impl Broker for MemoryBroker {
    #[inline]
    fn publish(&self, channel: &str, publication: Publication) -> Published {
        match self.allot(channel) {
            Some((feed, cursor)) => {
                feed.deliver(cursor, publication);
                Published::now(cursor)
            }
            // Not subscribed to: nobody will ever hear it.
            None => Published::now(Cursor::new(random_epoch(), (1, 0))),
        }
    }

    #[inline]
    fn subscribe(&self, feed: Feed) {
        let last = Cursor::new(random_epoch(), (0, 0));
        feed.begin(last);
        self.channels.borrow_mut().insert(feed.channel().to_owned(), Numbers { feed, last });
    }

    #[inline]
    fn unsubscribe(&self, channel: &str) {
        let gone = tables::remove(&mut self.channels.borrow_mut(), channel);
        drop(gone);
    }

    #[inline]
    fn is_shared(&self) -> bool {
        false
    }
}
