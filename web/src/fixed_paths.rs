//! Paths without parameters, found by hash.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// The routes whose pattern is plain text, beside the tree that has all of them: most requests go to one of these, and a
/// look-up here costs a third of a walk down the tree.
pub(crate) type FixedPaths = HashMap<Box<[u8]>, usize, BuildHasherDefault<PathHasher>>;

/// Inserts. In one place, because each that calls the map itself has a copy of all that makes it grow.
pub(crate) fn insert(paths: &mut FixedPaths, path: &str, at: usize) {
    paths.insert(path.as_bytes().into(), at);
}

/// A multiplicative hash over eight bytes at a time. The keys are the programmer's, so nobody can make them collide; a
/// client can only ask for paths that are not there.
#[derive(Default)]
pub(crate) struct PathHasher(u64);

/// Spreads a bit over all higher ones: 2^64 divided by the golden ratio, made odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl PathHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last_chunk() else { return self.add(short(bytes)) };
        for word in bytes[..bytes.len() - 1].as_chunks::<8>().0 {
            self.add(u64::from_le_bytes(*word));
        }
        // The last eight bytes as a whole, whether or not some were in the word before: copying those that were not into a
        // word of their own is a call.
        self.add(u64::from_le_bytes(*last));
    }

    // In front of the bytes of a slice, where it keeps the slices of a tuple apart. There is only one here.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The table takes its index from the low bits and its tags from the high ones.
        self.0 ^ (self.0 >> 32)
    }
}

/// Fewer than eight bytes in a word.
fn short(bytes: &[u8]) -> u64 {
    bytes.iter().fold(1, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_paths_are_told_apart() {
        let mut paths = FixedPaths::default();
        let all: Vec<String> = (0..1000).map(|n| format!("/some/longer/path/{n}")).collect();
        for (at, path) in all.iter().enumerate() {
            paths.insert(path.as_bytes().into(), at);
        }
        for (at, path) in all.iter().enumerate() {
            assert_eq!(paths.get(path.as_bytes()), Some(&at));
        }
        assert_eq!(paths.get(&b"/some/longer/path/"[..]), None);
        assert_eq!(paths.get(&b""[..]), None);
    }
}
