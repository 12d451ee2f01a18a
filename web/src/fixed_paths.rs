//! Paths without parameters, found by hash.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// The routes whose pattern is plain text, beside the tree that has all of them: most requests go to one of these, and a
/// look-up here costs a third of a walk down the tree.
pub(crate) type FixedPaths = HashMap<Box<[u8]>, usize, BuildHasherDefault<PathHasher>>;

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
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }

    // In front of the bytes of a slice, where it keeps the slices of a tuple apart. There is only one here.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The table takes its index from the low bits and its tags from the high ones.
        self.0 ^ (self.0 >> 32)
    }
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
