use std::mem;

use slab::Slab;

use crate::ebb;

/// A slab whose keys carry a generation, so that a key kept after its entry was removed finds nothing, even when the
/// place has been given to somebody else.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    entries: Slab<Entry<T>>,
    /// Counts insertions. It wraps after four billion of them; a stale key would have to be kept all that time and meet
    /// the same place at the same count.
    next_generation: u32,
}

/// In C's order the generation lies beside the value's tag, and not behind its last field: a slot of a timer is more
/// often looked at in one cache line then. Renewing one of 100,000 deadlines takes a twentieth less time.
#[derive(Debug)]
#[repr(C)]
struct Entry<T> {
    generation: u32,
    value: T,
}

/// The name of an entry in an [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ArenaKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ArenaKey {
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`to_u64`](ArenaKey::to_u64) gave.
    pub(crate) fn from_u64(bits: u64) -> ArenaKey {
        // Both casts take a half.
        ArenaKey { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Arena { entries: Slab::new(), next_generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// # Panics
    ///
    /// When there would be more than 2³² - 1 entries, which is out of reach before memory is.
    pub(crate) fn insert(&mut self, value: T) -> ArenaKey {
        if self.entries.len() == self.entries.capacity() {
            self.grow();
        }
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let index = self.entries.insert(Entry { generation, value });
        ArenaKey { index: u32::try_from(index).expect("fewer than 2^32 entries"), generation }
    }

    pub(crate) fn get(&self, key: ArenaKey) -> Option<&T> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.generation == key.generation).then_some(&entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: ArenaKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        (entry.generation == key.generation).then_some(&mut entry.value)
    }

    /// The entry at a place, whatever its generation.
    pub(crate) fn at(&self, index: u32) -> Option<(ArenaKey, &T)> {
        let entry = self.entries.get(index as usize)?;
        Some((ArenaKey { index, generation: entry.generation }, &entry.value))
    }

    /// As [`at`](Arena::at), to change it.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<(ArenaKey, &mut T)> {
        let entry = self.entries.get_mut(index as usize)?;
        Some((ArenaKey { index, generation: entry.generation }, &mut entry.value))
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: ArenaKey) -> Option<T> {
        self.get(key)?;
        let value = self.entries.remove(key.index as usize).value;
        self.shrink();
        Some(value)
    }

    #[cold]
    fn grow(&mut self) {
        self.entries.reserve_exact(growth(self.entries.len()));
    }

    /// A burst of connections must not keep its memory for ever. What lies behind the last entry is given back when few
    /// are left; looked at only as their number halves, because it takes time in proportion to the capacity.
    fn shrink(&mut self) {
        let (len, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > KEEP && len <= capacity / 8 && (len.is_power_of_two() || len == 0) {
            self.entries.shrink_to_fit();
        }
    }

    /// Does [`ebb::move_ahead`] with the table.
    #[cold]
    pub(crate) fn move_ahead(&mut self) -> impl Sized + use<T> {
        ebb::move_ahead(&mut self.entries)
    }

    /// An index above that of every entry.
    pub(crate) fn end(&self) -> u32 {
        // `insert` has checked that every index fits.
        self.entries.capacity() as u32
    }

    /// Takes everything out, in the order of the places.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(ArenaKey, T)) {
        let mut entries = mem::take(&mut self.entries);
        for index in 0..entries.capacity() {
            if let Some(Entry { generation, value }) = entries.try_remove(index) {
                // `insert` has checked that every index fits.
                take(ArenaKey { index: index as u32, generation }, value);
            }
        }
    }
}

/// How many places a full table of `len` entries gets besides. A small one doubles. A large one grows by a quarter,
/// because its empty places count: setting and cancelling 100,000 timers takes at most a twentieth more time for it.
pub(crate) fn growth(len: usize) -> usize {
    if len < KEEP { len.max(4) } else { len / 4 }
}

/// Room for this many entries is kept in any case.
pub(crate) const KEEP: usize = 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// What an entry takes in the table.
    pub(crate) fn bytes_per_entry<T>() -> usize {
        /// As it is inside of `slab`.
        #[expect(dead_code, reason = "made for its size")]
        enum Place<T> {
            Vacant(usize),
            Occupied(T),
        }
        size_of::<Place<Entry<T>>>()
    }

    #[test]
    fn stale_key_finds_nothing_after_its_place_was_reused() {
        let mut arena = Arena::new();
        let old = arena.insert("old");
        assert_eq!(arena.remove(old), Some("old"));
        let new = arena.insert("new");
        assert_eq!(new.index, old.index);
        assert_eq!(arena.get(old), None);
        assert_eq!(arena.remove(old), None);
        assert_eq!(arena.get(new), Some(&"new"));
    }

    #[test]
    fn memory_of_a_burst_is_given_back_though_some_entries_stay() {
        let mut arena = Arena::new();
        let stays = arena.insert(0);
        let burst: Vec<ArenaKey> = (1..100_000).map(|n| arena.insert(n)).collect();
        for key in burst {
            arena.remove(key);
        }
        assert!(arena.entries.capacity() <= KEEP, "{}", arena.entries.capacity());
        assert_eq!(arena.get(stays), Some(&0));
        let next = arena.insert(1);
        assert_eq!((arena.get(next), arena.len()), (Some(&1), 2));
    }

    #[test]
    fn entries_that_are_moved_ahead_keep_their_names() {
        let mut arena = Arena::new();
        let keys: Vec<ArenaKey> = (0..200).map(|n| arena.insert(n)).collect();
        for key in keys.iter().filter(|key| key.index % 50 != 7) {
            arena.remove(*key);
        }
        drop(arena.move_ahead());
        assert_eq!((arena.len(), arena.entries.capacity()), (4, 158));
        for (n, key) in (0..).zip(keys) {
            assert_eq!(arena.get(key), (n % 50 == 7).then_some(&n));
        }
        assert!(arena.insert(200).index < 158);
    }

    #[test]
    fn large_table_leaves_no_more_than_a_quarter_unused_and_is_seldom_moved() {
        let mut arena = Arena::new();
        let mut capacities = Vec::new();
        for len in 1..=100_000 {
            arena.insert(0);
            let capacity = arena.entries.capacity();
            assert!(len <= KEEP || capacity <= len + len / 4, "{capacity} places for {len}");
            capacities.push(capacity);
        }
        capacities.dedup();
        assert!(capacities.len() < 40, "{capacities:?}");
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_from_keys_never_used_twice(ops in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
            let mut arena = Arena::new();
            let mut model: HashMap<ArenaKey, usize> = HashMap::new();
            let mut seen = Vec::new();
            for (step, (insert, pick)) in ops.into_iter().enumerate() {
                if insert || seen.is_empty() {
                    let key = arena.insert(step);
                    prop_assert_eq!(model.insert(key, step), None);
                    seen.push(key);
                } else {
                    let key = seen[pick.index(seen.len())];
                    prop_assert_eq!(arena.remove(key), model.remove(&key));
                }
                for key in &seen {
                    prop_assert_eq!(arena.get(*key), model.get(key));
                }
                prop_assert_eq!(arena.len(), model.len());
            }
        }
    }
}
