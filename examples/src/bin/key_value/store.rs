//! Layer: iostream.
//!
//! Values by their keys, some of them with a time to live.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::Instant,
};

type Key = Rc<[u8]>;

/// All keys of the server.
#[derive(Default)]
pub struct Store {
    entries: HashMap<Key, Entry>,
    /// The keys that expire, by when they do.
    expiring: BTreeSet<(Instant, Key)>,
}

struct Entry {
    value: Vec<u8>,
    expires: Option<Instant>,
}

impl Store {
    pub fn get(&mut self, key: &[u8], now: Instant) -> Option<&[u8]> {
        self.live(key, now).map(|entry| &entry.value[..])
    }

    /// Sets a value, and when it expires.
    pub fn set(&mut self, key: &[u8], value: &[u8], expires: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(key) {
            // In the memory that the old value had.
            entry.value.clear();
            entry.value.extend_from_slice(value);
        } else {
            self.entries.insert(key.into(), Entry { value: value.to_vec(), expires: None });
        }
        self.expire(key, expires);
    }

    /// The value, to be changed in place; an empty one is made if there is none.
    pub fn value_mut(&mut self, key: &[u8], now: Instant) -> &mut Vec<u8> {
        if self.live(key, now).is_none() {
            self.set(key, &[], None);
        }
        &mut self.entries.get_mut(key).expect("it is there or has just been made").value
    }

    /// Returns whether there was something.
    pub fn remove(&mut self, key: &[u8], now: Instant) -> bool {
        let was_live = self.live(key, now).is_some();
        self.expire(key, None);
        self.entries.remove(key);
        was_live
    }

    /// When the value expires: `None` if there is no value, `Some(None)` if it does not expire.
    pub fn expiry(&mut self, key: &[u8], now: Instant) -> Option<Option<Instant>> {
        self.live(key, now).map(|entry| entry.expires)
    }

    /// Changes when a key expires. Does nothing when there is none.
    pub fn expire(&mut self, key: &[u8], expires: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let before = std::mem::replace(&mut entry.expires, expires);
        if before == expires {
            return;
        }
        let (key, _) = self.entries.get_key_value(key).expect("it was found above");
        if let Some(before) = before {
            self.expiring.remove(&(before, Rc::clone(key)));
        }
        if let Some(expires) = expires {
            self.expiring.insert((expires, Rc::clone(key)));
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn clear(&mut self) {
        *self = Store::default();
    }

    /// Removes what has expired: as much work as there are such keys, however many there are in all.
    pub fn remove_expired(&mut self, now: Instant) {
        while let Some((expires, _)) = self.expiring.first()
            && *expires <= now
        {
            let (_, key) = self.expiring.pop_first().expect("it was looked at");
            self.entries.remove(&key);
        }
    }

    fn live(&mut self, key: &[u8], now: Instant) -> Option<&Entry> {
        let is_over = |entry: &Entry| entry.expires.is_some_and(|expires| expires <= now);
        if self.entries.get(key).is_some_and(is_over) {
            self.expire(key, None);
            self.entries.remove(key);
        }
        self.entries.get(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_gone_when_its_time_has_come() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut store = Store::default();
        store.set(b"asked", b"1", Some(later));
        store.set(b"forgotten", b"2", Some(later));
        store.set(b"kept", b"3", Some(later));
        store.set(b"kept", b"4", None);
        assert_eq!(store.get(b"asked", now), Some(&b"1"[..]));
        assert_eq!(store.get(b"asked", later), None);
        store.remove_expired(later);
        assert_eq!((store.len(), store.expiring.len()), (1, 0));
        assert_eq!(store.get(b"kept", later), Some(&b"4"[..]));
    }
}
