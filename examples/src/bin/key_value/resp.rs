//! Layer: iostream.
//!
//! RESP, version 2: commands as arrays of byte strings, or as words in a line; answers of five kinds.

use std::{fmt, io::Write, ops::Range, str};

/// The longest argument, in bytes.
pub const LONGEST_ARGUMENT: usize = 16 * 1024 * 1024;

/// The most arguments of a command.
const MOST_ARGUMENTS: usize = 64 * 1024;

/// The longest line: a command typed by hand, or the head of an array or of an argument.
const LONGEST_LINE: usize = 64 * 1024;

/// What is wrong with the input.
#[derive(Debug, PartialEq, Eq)]
pub struct ProtocolError(pub &'static str);

/// Finds commands in a connection's input. Keeps nothing from one to the next but its memory.
#[derive(Default)]
pub struct Parser {
    arguments: Vec<Range<usize>>,
}

/// A command where it was received.
pub struct Command<'a> {
    input: &'a [u8],
    arguments: &'a [Range<usize>],
}

impl Parser {
    /// The command at the beginning of `input`; `None` when it is not complete. An empty line is a command without
    /// arguments.
    ///
    /// A long command that comes in many pieces is looked at again with each of them, but only at the heads of its
    /// arguments.
    pub fn parse<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<Command<'a>>, ProtocolError> {
        self.arguments.clear();
        let end = match input.first() {
            None => None,
            Some(b'*') => self.array(input)?,
            Some(_) => self.words(input)?,
        };
        Ok(end.map(|end| Command { input: &input[..end], arguments: &self.arguments }))
    }

    /// `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`. Returns where it ends.
    fn array(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some((head, mut at)) = line(input, 1)? else { return Ok(None) };
        let count = number(head, MOST_ARGUMENTS).ok_or(ProtocolError("invalid multibulk length"))?;
        for _ in 0..count {
            match input.get(at) {
                None => return Ok(None),
                Some(b'$') => {}
                Some(_) => return Err(ProtocolError("expected '$'")),
            }
            let Some((head, start)) = line(input, at + 1)? else { return Ok(None) };
            let length = number(head, LONGEST_ARGUMENT).ok_or(ProtocolError("invalid bulk length"))?;
            let end = start + length;
            match input.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError("expected the end of a bulk string")),
            }
            self.arguments.push(start..end);
            at = end + 2;
        }
        Ok(Some(at))
    }

    /// `GET k\r\n`, as one types it into a terminal.
    fn words(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some((text, end)) = line(input, 0)? else { return Ok(None) };
        let mut at = 0;
        for word in text.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                self.arguments.push(at..at + word.len());
            }
            at += word.len() + 1;
        }
        Ok(Some(end))
    }
}

impl<'a> Command<'a> {
    /// How many bytes of input it took.
    pub fn len(&self) -> usize {
        self.input.len()
    }

    /// Name and arguments.
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let Command { input, arguments } = *self;
        arguments.iter().map(|range| &input[range.clone()])
    }
}

/// The line that begins at `start`, and where the next one does; `None` when its end has not come.
fn line(input: &[u8], start: usize) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &input[start..];
    match rest.iter().position(|&byte| byte == b'\n') {
        Some(end) if end <= LONGEST_LINE => {
            let text = &rest[..end];
            Ok(Some((text.strip_suffix(b"\r").unwrap_or(text), start + end + 1)))
        }
        None if rest.len() <= LONGEST_LINE => Ok(None),
        _ => Err(ProtocolError("too big inline request")),
    }
}

/// A length in decimal digits.
fn number(digits: &[u8], most: usize) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok().filter(|&number| number <= most)
}

/// `+OK`: a short text without line breaks.
pub fn simple(answers: &mut Vec<u8>, text: &str) {
    answers.push(b'+');
    answers.extend_from_slice(text.as_bytes());
    answers.extend_from_slice(b"\r\n");
}

/// `-ERR ...`: an error. What a client has sent must not be part of it, or has to be escaped.
pub fn error(answers: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Writing to a `Vec` does not fail.
    let _ = write!(answers, "-{text}\r\n");
}

/// `:1`: an integer.
pub fn integer(answers: &mut Vec<u8>, number: i64) {
    let _ = write!(answers, ":{number}\r\n");
}

/// `$5`: a byte string.
pub fn bulk(answers: &mut Vec<u8>, bytes: &[u8]) {
    let _ = write!(answers, "${}\r\n", bytes.len());
    answers.extend_from_slice(bytes);
    answers.extend_from_slice(b"\r\n");
}

/// `$-1`: no value.
pub fn nil(answers: &mut Vec<u8>) {
    answers.extend_from_slice(b"$-1\r\n");
}

/// `*2`: the head of an array, behind which its members come.
pub fn array(answers: &mut Vec<u8>, members: usize) {
    let _ = write!(answers, "*{members}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of a command, and how much of the input it took.
    type Found = Option<(Vec<Vec<u8>>, usize)>;

    fn parse(input: &[u8]) -> Result<Found, ProtocolError> {
        let mut parser = Parser::default();
        let command = parser.parse(input)?;
        Ok(command.map(|command| (command.arguments().map(<[u8]>::to_vec).collect(), command.len())))
    }

    #[test]
    fn a_command_is_incomplete_at_every_length_but_its_own() {
        let input = b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n";
        for cut in 0..input.len() {
            assert_eq!(parse(&input[..cut]), Ok(None), "{cut}");
        }
        let command = vec![b"SET".to_vec(), Vec::new(), b"a\r\nb".to_vec()];
        assert_eq!(parse(&[input, &b"*1\r\n"[..]].concat()), Ok(Some((command, input.len()))));
    }

    #[test]
    fn a_command_may_be_typed() {
        assert_eq!(parse(b"GET  key \r\nx"), Ok(Some((vec![b"GET".to_vec(), b"key".to_vec()], 11))));
        assert_eq!(parse(b"\r\n"), Ok(Some((Vec::new(), 2))));
        assert_eq!(parse(b"*0\r\n"), Ok(Some((Vec::new(), 4))));
    }

    #[test]
    fn what_breaks_the_protocol_is_told_at_once() {
        for (input, reason) in [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*-1\r\n", "invalid multibulk length"),
            (b"*99999999\r\n", "invalid multibulk length"),
            (b"*1\r\n+PING\r\n", "expected '$'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
            (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
            (b"*1\r\n$4\r\nPINGxx", "expected the end of a bulk string"),
        ] {
            assert_eq!(parse(input), Err(ProtocolError(reason)), "{}", input.escape_ascii());
        }
        assert!(parse(&vec![b'x'; LONGEST_LINE + 1]).is_err());
    }
}
