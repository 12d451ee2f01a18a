//! Tables that crowds have made large.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem};

/// Room for this many entries is kept in any case.
const KEEP: usize = 1024;

/// Takes an entry out, and gives the room of a crowd back of which few are left.
#[inline]
pub(super) fn remove<K: Eq + Hash + Borrow<Q>, V, Q: Eq + Hash + ?Sized>(
    table: &mut HashMap<K, V>,
    key: &Q,
) -> Option<V> {
    let removed = table.remove(key);
    if table.capacity() > KEEP && table.len() <= table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
    removed
}

/// Puts a table to memory that is allocated now, and returns what is left. Not a large one, as
/// [`move_ahead`](httpserver::iostream::ioloop::move_ahead) does not.
#[inline]
pub(super) fn move_ahead<K: Eq + Hash, V>(table: &mut HashMap<K, V>) -> HashMap<K, V> {
    if table.len() > KEEP {
        return HashMap::new();
    }
    let mut left = mem::take(table);
    table.extend(left.drain());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_that_are_left_have_little_room() {
        let mut table: HashMap<usize, usize> = (0..10_000).map(|n| (n, n)).collect();
        for n in 3..10_000 {
            assert_eq!(remove(&mut table, &n), Some(n));
        }
        assert!(table.capacity() <= KEEP, "{}", table.capacity());
        let left = move_ahead(&mut table);
        assert!(left.is_empty() && left.capacity() > table.capacity());
        assert_eq!((table.len(), table.get(&2)), (3, Some(&2)));
    }
}
