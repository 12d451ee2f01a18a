//! The walk over a window from front to back.

use super::{Block, blocks, is_token_byte};

/// A place in a window that is walked over from front to back.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'w> {
    /// What has not been walked over.
    rest: &'w [u8],
    /// The last block of the window. It stands in for the one that would reach beyond the window's end.
    last: &'w Block,
}

impl<'w> Cursor<'w> {
    /// At the beginning of `window`; `None` if it is shorter than one block.
    #[inline(always)]
    pub(crate) fn new(window: &'w [u8]) -> Option<Self> {
        Some(Cursor { rest: window, last: window.last_chunk()? })
    }

    /// What has not been walked over.
    #[inline(always)]
    pub(crate) fn rest(self) -> &'w [u8] {
        self.rest
    }

    /// Walks over the next `len` bytes, which it returns; `None` if so many are not left.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize) -> Option<&'w [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Walks over `expected`, if it stands here.
    #[inline(always)]
    pub(crate) fn take_all_of<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        // Comparing whole arrays is one or two comparisons, matching them is one for each byte.
        match self.rest.split_first_chunk() {
            Some((found, rest)) if found == expected => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes a token and the colon behind it; returns the token, which is not empty.
    #[inline(always)]
    pub(crate) fn take_name(&mut self) -> Option<&'w [u8]> {
        // Most names are letters and hyphens, and shorter than a block.
        let usual =
            self.rest.first_chunk().map_or(0, |block| blocks::letters_and_hyphens(block).trailing_ones() as usize);
        let (name, rest) = match self.rest.get(usual) {
            Some(b':') => (&self.rest[..usual], &self.rest[usual + 1..]),
            _ => longer_name(self.rest, usual)?,
        };
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// Takes what stands in front of a CR LF, and these two; returns what stands in front, which has no control characters
    /// and no tabs.
    #[inline(always)]
    pub(crate) fn take_line(&mut self) -> Option<&'w [u8]> {
        let usual = self.len_until(blocks::not_printable);
        let (line, behind) = self.rest.split_at_checked(usual)?;
        // Compared as an array: a pattern would be two comparisons.
        let end = behind.split_first_chunk().filter(|(end, _)| *end == b"\r\n");
        let (line, rest) = match end {
            Some((_, rest)) => (line, rest),
            None => longer_line(self.rest, usual)?,
        };
        self.rest = rest;
        Some(line)
    }

    /// Length of what begins here and is of [`Class::PATH`](super::Class::PATH), up to the length of a block.
    #[inline(always)]
    pub(crate) fn path_len_in_block(self) -> usize {
        self.rest.first_chunk().map_or(0, |block| blocks::of_path(block).trailing_ones() as usize)
    }

    /// Length of what begins here and is of [`Class::PATH`](super::Class::PATH).
    #[inline(always)]
    pub(crate) fn path_len(self) -> usize {
        self.len_of(blocks::of_path)
    }

    /// Length of what begins here and is of [`Class::QUERY`](super::Class::QUERY).
    #[inline(always)]
    pub(crate) fn query_len(self) -> usize {
        self.len_of(blocks::of_query)
    }

    /// Length of what begins here and is marked.
    #[inline(always)]
    fn len_of(self, marked: impl Fn(&Block) -> u32) -> usize {
        self.len_until(|block| !marked(block) & 0xffff)
    }

    /// Length of what begins here and is not marked.
    #[inline(always)]
    fn len_until(self, marked: impl Fn(&Block) -> u32) -> usize {
        let (blocks, tail) = self.rest.as_chunks();
        let mut len = 0;
        for block in blocks {
            let marks = marked(block);
            if marks != 0 {
                return len + marks.trailing_zeros() as usize;
            }
            len += block.len();
        }
        // What is left is the end of the last block. The bit behind it ends the count where nothing is marked.
        let marks = marked(self.last) >> (self.last.len() - tail.len());
        len + (marks | 1 << tail.len()).trailing_zeros() as usize
    }
}

/// [`take_name`](Cursor::take_name) of a name whose first `len` bytes are known: it is longer than a block, has other
/// characters than letters and hyphens, or stands near the end of the window. The name and what follows the colon.
#[inline(never)]
fn longer_name(text: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let len = len + text[len..].iter().take_while(|&&b| is_token_byte(b)).count();
    let (name, behind) = text.split_at_checked(len)?;
    Some((name, behind.strip_prefix(b":")?))
}

/// [`take_line`](Cursor::take_line) of a line whose first `len` bytes are known. Bytes above 127 may follow, which are let
/// pass, or a fault.
#[cold]
fn longer_line(text: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let len = len + text[len..].iter().position(u8::is_ascii_control)?;
    let (line, behind) = text.split_at_checked(len)?;
    Some((line, behind.strip_prefix(b"\r\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::scan::{Class, class_len};

    fn check(window: &[u8], start: usize) {
        let mut cursor = Cursor::new(window).expect("a block");
        cursor.take(start).expect("within the window");
        let text = &window[start..];
        for (len, class) in [(cursor.path_len(), Class::PATH), (cursor.query_len(), Class::QUERY)] {
            assert_eq!(len, class_len(text, class), "{class:?}: {} from {start}", window.escape_ascii());
        }
        let in_block = if text.len() < 16 { 0 } else { class_len(&text[..16], Class::PATH) };
        assert_eq!(cursor.path_len_in_block(), in_block, "{} from {start}", window.escape_ascii());
        let name = text.iter().position(|&b| !is_token_byte(b)).filter(|&len| len != 0 && text[len] == b':');
        let mut at_name = cursor;
        assert_eq!(at_name.take_name(), name.map(|len| &text[..len]), "{} from {start}", window.escape_ascii());
        if let Some(len) = name {
            assert_eq!(at_name.rest(), &text[len + 1..]);
        }
        let line = text.iter().position(u8::is_ascii_control).filter(|&len| text[len..].starts_with(b"\r\n"));
        let mut at_line = cursor;
        assert_eq!(at_line.take_line(), line.map(|len| &text[..len]), "{} from {start}", window.escape_ascii());
        if let Some(len) = line {
            assert_eq!(at_line.rest(), &text[len + 2..]);
        }
    }

    #[test]
    fn every_byte_ends_what_it_should_at_every_place() {
        for b in 0..=255 {
            for len in [16, 17, 31, 32, 33, 40, 47, 48, 49] {
                for place in 0..len {
                    let mut window = b"Some-Letters_9z".repeat(4)[..len].to_vec();
                    window[place] = b;
                    check(&window, 0);
                    // A whole name, and a whole line.
                    window[len - 4..].copy_from_slice(b":x\r\n");
                    check(&window, 0);
                }
            }
        }
    }

    #[test]
    fn what_stands_in_front_or_behind_ends_nothing() {
        for len in 16..36 {
            for start in 0..=len {
                for place in 0..len - 1 {
                    for end in [*b"\r\n", *b": ", *b"\xe4\n"] {
                        let mut window = vec![b'v'; len];
                        window[place..place + 2].copy_from_slice(&end);
                        check(&window, start);
                        window[place + 2..].fill(b'\r');
                        check(&window, start);
                        window[..place].fill(b':');
                        check(&window, start);
                    }
                }
            }
        }
    }

    #[test]
    fn a_window_has_a_block_at_least() {
        assert!(Cursor::new(&[b'v'; 15]).is_none());
        assert!(Cursor::new(&[b'v'; 16]).is_some());
    }
}
