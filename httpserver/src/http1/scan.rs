//! Finds the ends of names, values and pieces of a target, many bytes at a time.
//!
//! A third of the instructions of parsing a head are spent here. Nothing needs more of the processor than what the
//! target has by default: the loops over fixed blocks compile to its vector instructions, the words of 8 bytes to
//! integer ones.

use crate::headers::is_token_byte;

/// Length of the longest beginning of `text` that is a token.
#[inline]
pub(super) fn token_len(text: &[u8]) -> usize {
    // Most names are letters and hyphens, which one word at a time can tell from the rest. The colon behind a name ends
    // the loop in the word that it stands in; digits and other token characters are left to the table.
    let mut len = 0;
    for word in text.as_chunks::<8>().0 {
        let others = others_than_letters_in(u64::from_le_bytes(*word));
        if others != 0 {
            len += first_marked(others);
            break;
        }
        len += 8;
    }
    while text.get(len).is_some_and(|&b| is_token_byte(b)) {
        len += 1;
    }
    len
}

/// Length of the longest beginning of `text` without control characters; a tab counts as one.
#[inline]
pub(super) fn printable_len(text: &[u8]) -> usize {
    // Blocks of 16 compile to a few vector instructions that say whether, words of 8 to integer ones that say where.
    let mut len = 0;
    for block in text.as_chunks::<16>().0 {
        if block.iter().fold(false, |any, &b| any | is_control(b)) {
            break;
        }
        len += 16;
    }
    for word in text[len..].as_chunks::<8>().0 {
        let controls = controls_in(u64::from_le_bytes(*word));
        if controls != 0 {
            return len + first_marked(controls);
        }
        len += 8;
    }
    while text.get(len).is_some_and(|&b| !is_control(b)) {
        len += 1;
    }
    len
}

/// A control character of ASCII, DEL included.
#[inline]
fn is_control(b: u8) -> bool {
    // Without a short cut, so that it can be computed for many bytes at once.
    (b < b' ') | (b == 0x7f)
}

/// A set of characters, a bit in the table of all of them.
#[derive(Clone, Copy)]
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

/// Length of the longest beginning of `text` made of this class.
#[inline]
pub(super) fn class_len(text: &[u8], class: Class) -> usize {
    // Four at a time first: half the instructions of a byte by byte search, and this is a good part of parsing a head.
    let mut len = 0;
    for four in text.as_chunks::<4>().0 {
        if four.iter().fold(class.0, |common, &b| common & CLASSES[b as usize]) == 0 {
            break;
        }
        len += 4;
    }
    while len < text.len() && CLASSES[text[len] as usize] & class.0 != 0 {
        len += 1;
    }
    len
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

// The functions below compute on the 8 bytes of a word at once, the first one lowest, and mark bytes by their highest
// bits. Sums are of the lower 7 bits of each byte, so that no carry reaches the next one.

/// The highest bit of every byte.
const MARKS: u64 = each(0x80);

/// A word that has `b` in each of its bytes.
const fn each(b: u8) -> u64 {
    u64::from_ne_bytes([b; 8])
}

/// Marks the bytes that are control characters.
#[inline]
fn controls_in(word: u64) -> u64 {
    // Marked where the byte is at least a space, and where it is 0x7f. Bytes above 127 are no controls, whatever their
    // sums.
    let low = word & !MARKS;
    let from_space = low + each(0x80 - b' ');
    let is_delete = low + each(0x80 - 0x7f);
    (!from_space | is_delete) & !word & MARKS
}

/// Marks the bytes that are neither ASCII letters nor hyphens.
#[inline]
fn others_than_letters_in(word: u64) -> u64 {
    // Setting bit 5 maps capitals onto small letters. What else it maps is below `a` or above `z` either way.
    let lower = (word | each(b' ')) & !MARKS;
    let from_a = lower + each(0x80 - b'a');
    let above_z = lower + each(0x80 - b'z' - 1);
    // The difference to a hyphen, to which 127 is added: only 0 stays below the highest bit.
    let is_no_hyphen = ((word ^ each(b'-')) & !MARKS) + !MARKS;
    (((!from_a | above_z) & is_no_hyphen) | word) & MARKS
}

/// The place of the first marked byte. At least one is marked.
#[inline]
fn first_marked(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_alike_at_every_place() {
        for b in 0..=255u8 {
            for len in 0..50 {
                for place in 0..len {
                    let mut text = vec![if place % 2 == 0 { b'v' } else { 0xff }; len];
                    text[place] = b;
                    let expected = if b.is_ascii_control() { place } else { len };
                    assert_eq!(printable_len(&text), expected, "{b:#x} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_controls_is_found() {
        let mut text = [b'v'; 40];
        for place in (0..40).rev() {
            text[place] = if place % 3 == 0 { b'\r' } else { 0x7f };
            assert_eq!(printable_len(&text), place);
        }
    }

    #[test]
    fn tokens_end_where_the_table_says() {
        for b in 0..=255u8 {
            for len in 0..20 {
                for place in 0..len {
                    let mut text = b"Sec-WebSocket-Ext_9z"[..len].to_vec();
                    text[place] = b;
                    let expected = text.iter().position(|&b| !is_token_byte(b)).unwrap_or(len);
                    assert_eq!(token_len(&text), expected, "{}", text.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn a_token_ends_at_the_first_other_character() {
        assert_eq!(token_len(b""), 0);
        assert_eq!(token_len(b"a-Z9:"), 4);
        assert_eq!(token_len(b"abc"), 3);
        assert_eq!(token_len(b" a"), 0);
        assert_eq!(token_len(b"a\xe4"), 1);
    }
}
