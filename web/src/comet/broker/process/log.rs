use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::inbox::{Inbox, Letter, SharedMessage};
use crate::comet::{Cursor, Publication, broker::random_epoch};

/// As many as a hub has by default.
const MOST_CHANNELS: usize = 100_000;

/// The channels of a [`ProcessLog`](super::ProcessLog). Everything happens under its lock, so that all loops get the messages of
/// a channel in one order.
pub(super) struct Log {
    max_messages: usize,
    max_bytes: usize,
    max_age: Duration,
    max_channels: usize,
    channels: HashMap<Arc<str>, LoggedChannel>,
    /// When old messages were last looked for.
    swept: Option<Instant>,
}

struct LoggedChannel {
    name: Arc<str>,
    epoch: u64,
    /// The number of the newest message.
    last: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The loops that have it.
    inboxes: Vec<Arc<Inbox>>,
}

struct Entry {
    message: SharedMessage,
    published: Instant,
}

impl Log {
    pub(super) fn new(max_messages: usize, max_bytes: usize, max_age: Duration) -> Log {
        Log { max_messages, max_bytes, max_age, max_channels: MOST_CHANNELS, channels: HashMap::new(), swept: None }
    }

    pub(super) fn set_max_channels(&mut self, channels: usize) {
        self.max_channels = channels;
    }

    /// Takes a message in. Its cursor, and who is to be woken for it; `None` when there are too many channels for another.
    pub(super) fn publish(
        &mut self,
        channel: &str,
        publication: Publication,
        now: Instant,
    ) -> Option<(Cursor, Vec<Waker>)> {
        self.sweep(now);
        if self.channels.len() >= self.max_channels && !self.channels.contains_key(channel) {
            return None;
        }
        let (max_messages, max_bytes) = (self.max_messages, self.max_bytes);
        let channel = self.channel(channel);
        let letter = channel.push(SharedMessage::new(publication), now);
        while channel.entries.len() > max_messages || (channel.bytes > max_bytes && channel.entries.len() > 1) {
            channel.pop();
        }
        let cursor = Cursor::new(letter.epoch, (letter.number, 0));
        Some((cursor, channel.inboxes.iter().filter_map(|inbox| inbox.push(letter.clone())).collect()))
    }

    /// Adds a loop to those that have the channel. The beginning of its messages and those that there are.
    pub(super) fn subscribe(&mut self, channel: &str, inbox: &Arc<Inbox>, now: Instant) -> (Arc<str>, Vec<Letter>) {
        self.sweep(now);
        let max_age = self.max_age;
        let channel = self.channel(channel);
        channel.expire(max_age, now);
        channel.inboxes.push(inbox.clone());
        (channel.name.clone(), channel.letters())
    }

    /// Takes a loop out again.
    pub(super) fn unsubscribe(&mut self, channel: &str, inbox: &Arc<Inbox>, now: Instant) {
        if let Some(channel) = self.channels.get_mut(channel)
            && let Some(at) = channel.inboxes.iter().position(|other| Arc::ptr_eq(other, inbox))
        {
            channel.inboxes.swap_remove(at);
        }
        self.sweep(now);
    }

    fn channel(&mut self, name: &str) -> &mut LoggedChannel {
        if !self.channels.contains_key(name) {
            let name = Arc::<str>::from(name);
            self.channels.insert(name.clone(), LoggedChannel::new(name));
        }
        // It was inserted above if it was not there.
        self.channels.get_mut(name).expect("the channel is there")
    }

    /// Drops old messages and channels of which nothing is left. The clocks of loops differ by less than a turn.
    fn sweep(&mut self, now: Instant) {
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(swept) < self.max_age / 8 {
            return;
        }
        self.swept = Some(now);
        let max_age = self.max_age;
        self.channels.retain(|_, channel| {
            channel.expire(max_age, now);
            !channel.entries.is_empty() || !channel.inboxes.is_empty()
        });
        self.channels.shrink_to(self.channels.len() * 2);
    }
}

impl LoggedChannel {
    fn new(name: Arc<str>) -> LoggedChannel {
        let entries = VecDeque::new();
        LoggedChannel { name, epoch: random_epoch(), last: 0, entries, bytes: 0, inboxes: Vec::new() }
    }

    fn push(&mut self, message: SharedMessage, published: Instant) -> Letter {
        self.last += 1;
        self.bytes += message.size();
        self.entries.push_back(Entry { message: message.clone(), published });
        self.letter(self.last, Some(message))
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.message.size();
        }
    }

    fn expire(&mut self, max_age: Duration, now: Instant) {
        while self.entries.front().is_some_and(|oldest| now.saturating_duration_since(oldest.published) > max_age) {
            self.pop();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    fn letters(&self) -> Vec<Letter> {
        let before = self.last - self.entries.len() as u64;
        let messages = (before + 1..).zip(&self.entries);
        let messages = messages.map(|(number, entry)| self.letter(number, Some(entry.message.clone())));
        [self.letter(before, None)].into_iter().chain(messages).collect()
    }

    fn letter(&self, number: u64, message: Option<SharedMessage>) -> Letter {
        Letter { channel: self.name.clone(), epoch: self.epoch, number, message }
    }
}
