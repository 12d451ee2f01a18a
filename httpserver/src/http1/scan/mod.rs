//! Finds the ends of names, values and pieces of a target, 16 bytes at a time.
//!
//! A block of 16 is turned into a mask, a bit for each byte, and the ends are counted off from it. `sse2` does so by vector
//! instructions and is used wherever they are certain to be there, which is on every x86-64; `words` does the same by
//! integers. Tests compare both with the tables below.

use crate::headers::is_token_byte;

mod cursor;
#[cfg(target_feature = "sse2")]
mod sse2;
#[cfg(any(test, not(target_feature = "sse2")))]
mod words;

#[cfg(target_feature = "sse2")]
use sse2 as blocks;
#[cfg(not(target_feature = "sse2"))]
use words as blocks;

pub(super) use cursor::Cursor;

/// What is looked at in one step.
type Block = [u8; 16];

/// A set of characters, a bit in the table of all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class(u8);

impl Class {
    /// Paths without percent signs, which the caller looks at by itself; see [`QUERY`](Class::QUERY). A path has no
    /// backslash, because some servers take it for a slash.
    pub(super) const PATH: Class = Class(1);
    /// Queries: the characters of RFC 3986 and those that browsers send unencoded (URL standard, the path and query
    /// percent-encode sets). Fragments, spaces, quotes, angle brackets, controls and bytes above 127 are not among them.
    pub(super) const QUERY: Class = Class(2);
    /// Hosts: a reg-name without the comma, which would make two Host lines joined into one look like a host.
    pub(super) const HOST: Class = Class(4);
}

/// Length of the longest beginning of `text` made of this class. For text whose end is known, and for what is rare.
#[inline]
pub(super) fn class_len(text: &[u8], class: Class) -> usize {
    text.iter().position(|&b| !is_of(b, class)).unwrap_or(text.len())
}

/// Whether `b` is of this class.
#[inline]
fn is_of(b: u8, class: Class) -> bool {
    CLASSES[b as usize] & class.0 != 0
}

/// The classes of each byte.
static CLASSES: [u8; 256] = {
    let (path, query, host) = (Class::PATH.0, Class::QUERY.0, Class::HOST.0);
    let mut classes = [0; 256];
    add(&mut classes, ALNUM, path | query | host);
    add(&mut classes, b"-._~!$&'()*+;=", path | query | host);
    add(&mut classes, b"%", query | host);
    add(&mut classes, b",:@/[]{}|^`", path | query);
    add(&mut classes, b"?\\", query);
    classes
};

/// The unreserved letters and digits of RFC 3986 2.3.
const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Puts `bytes` into `class`. Evaluated when the crate is compiled.
const fn add(classes: &mut [u8; 256], bytes: &[u8], class: u8) {
    let mut i = 0;
    while i < bytes.len() {
        classes[bytes[i] as usize] |= class;
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each function of blocks with the model that says whether a byte is marked.
    type Judge = (&'static str, Vec<fn(&Block) -> u32>, fn(u8) -> bool);

    fn judges() -> [Judge; 4] {
        let is_letter_or_hyphen = |b: u8| b.is_ascii_alphabetic() || b == b'-';
        #[cfg(target_feature = "sse2")]
        let by = |sse2, words| vec![sse2, words];
        #[cfg(not(target_feature = "sse2"))]
        let by = |words| vec![words];
        macro_rules! both {
            ($name:ident, $model:expr) => {{
                #[cfg(target_feature = "sse2")]
                let functions = by(sse2::$name as fn(&Block) -> u32, words::$name);
                #[cfg(not(target_feature = "sse2"))]
                let functions = by(words::$name as fn(&Block) -> u32);
                (stringify!($name), functions, $model)
            }};
        }
        [
            both!(not_printable, |b| !matches!(b, b' '..=b'~')),
            both!(letters_and_hyphens, is_letter_or_hyphen),
            both!(of_path, |b| is_of(b, Class::PATH)),
            both!(of_query, |b| is_of(b, Class::QUERY)),
        ]
    }

    /// Those whose sums come closest to a carry, and the ends of ranges.
    const BESIDE: [u8; 10] = [0, b' ', b'-', b'@', b'Z', b'a', 0x7f, 0x80, 0xe1, 0xff];

    #[test]
    fn every_byte_is_judged_alike_at_every_place_beside_any_other() {
        for (name, functions, model) in judges() {
            for (b, beside) in (0..=255).flat_map(|b| BESIDE.map(|beside| (b, beside))) {
                for place in 0..16 {
                    let mut block = [beside; 16];
                    block[place] = b;
                    let expected = (0..16).filter(|&at| model(block[at])).fold(0, |mask, at| mask | 1 << at);
                    for function in &functions {
                        assert_eq!(function(&block), expected, "{name}: {b:#x} at {place} beside {beside:#x}");
                    }
                }
            }
        }
    }
}
