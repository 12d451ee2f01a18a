//! Masking keys, and whatever else the peer must not guess.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    process,
};

thread_local! {
    static KEY: RandomState = RandomState::new();
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Numbers that nobody can predict without the thread's secret.
///
/// RFC 6455 10.3 wants keys from a strong source of entropy, so that a script in a browser cannot choose the bytes on the
/// wire. This is SipHash in counter mode, under a key of 128 bits that the standard library takes from the operating
/// system once per thread: no dependency, and no reading of random bytes per frame. The process is a part of what is counted,
/// because forked ones have the same secret.
#[inline]
pub(in crate::websocket) fn random() -> u64 {
    let count = COUNT.get();
    COUNT.set(count.wrapping_add(1));
    KEY.with(|key| key.hash_one((process::id(), count)))
}

/// The key of one frame.
#[inline]
pub(super) fn masking_key() -> [u8; 4] {
    (random() as u32).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_differ() {
        let numbers: HashSet<u64> = (0..10_000).map(|_| random()).collect();
        assert_eq!(numbers.len(), 10_000);
        // Of so few keys of 32 bits, hardly any two are alike.
        let keys: HashSet<[u8; 4]> = (0..10_000).map(|_| masking_key()).collect();
        assert!(keys.len() > 9_900);
    }
}
