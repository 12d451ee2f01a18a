//! Header lines as they are sent: those of answers and of trailers.
//!
//! A line is checked once, when it is added, and kept in wire form. So sending all of them is one copy, and nothing
//! that was refused can come in by another way (RFC 9112 11.1, response splitting).

use crate::{
    Error, Result,
    headers::{is_same_name, is_token_byte, trim_ows},
    http1::chunked::is_forbidden_trailer,
    pool::{self, Buffer},
};

/// Header lines in wire form: `Name: value` and CRLF, each checked when it was added.
///
/// The buffer comes from a pool of the thread with the first line and returns there on drop. Looking for a line is a
/// walk over all of them: answers have a handful.
#[derive(Default)]
pub(crate) struct FieldLines(Option<Buffer>);

impl FieldLines {
    /// No lines, and no buffer.
    pub(crate) const fn new() -> FieldLines {
        FieldLines(None)
    }

    /// Whether it holds a buffer of the pool.
    #[cfg(test)]
    pub(crate) fn has_buffer(&self) -> bool {
        self.0.is_some()
    }

    /// All lines as they are sent, each with its CRLF.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Adds a line that [`check_header`] has accepted, without the white space around the value.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let lines = self.0.get_or_insert_with(pool::take);
        // For the colon, the space and the line end, too.
        lines.reserve(name.len() + value.len() + 4);
        lines.extend_from_slice(name);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(trim_ows(value));
        lines.extend_from_slice(b"\r\n");
    }

    /// Checks a trailer line and adds it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] by [`check_header`], and for a field that may not come behind a body (RFC 9110 6.5.1).
    pub(crate) fn append_trailer(&mut self, name: &str, value: &[u8]) -> Result<()> {
        check_header(name.as_bytes(), value)?;
        if is_forbidden_trailer(name.as_bytes()) {
            return Err(Error::InvalidHeader("a field that may not be a trailer"));
        }
        self.push(name.as_bytes(), value);
        Ok(())
    }

    /// Removes all lines with this name, in any case.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        let Some(lines) = &mut self.0 else { return };
        let mut start = 0;
        // A line feed ends a line and nothing else: no value holds one.
        while let Some(length) = memchr::memchr(b'\n', &lines[start..]) {
            let end = start + length + 1;
            let line = &lines[start..end];
            // The colon is looked at first: it tells a name from one that only begins alike, and most lines by one
            // byte.
            let is_it = line.get(name.len()) == Some(&b':') && is_same_name(&line[..name.len()], name);
            if is_it {
                lines.drain(start..end);
            } else {
                start = end;
            }
        }
    }

    /// The value of the first line with this name, in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        for (found, value) in self.iter() {
            if is_same_name(found.as_bytes(), name.as_bytes()) {
                return Some(value);
            }
        }
        None
    }

    /// The lines as name and value, without the white space and the line end around them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.as_slice().split_inclusive(|&b| b == b'\n').filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            // Behind the colon `push` has put one space, and CR LF at the end.
            Some((name, &line[colon + 2..line.len() - 2]))
        })
    }
}

impl Drop for FieldLines {
    fn drop(&mut self) {
        // Without lines there was never a buffer, and no pool is touched.
        if let Some(lines) = self.0.take() {
            pool::give_back(lines);
        }
    }
}

/// Checks a name and a value against the grammar (RFC 9110 5.1 and 5.5): the name is a token, and the value has no
/// control character but tabs. CR, LF and NUL are what could begin another line, or another answer.
///
/// # Errors
///
/// [`Error::InvalidHeader`], which says which of the two it is.
pub(crate) fn check_header(name: &[u8], value: &[u8]) -> Result<()> {
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Err(Error::InvalidHeader("the name is not a token"));
    }
    if value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(Error::InvalidHeader("control character in the value"));
    }
    Ok(())
}
