//! Checks answers: the first one is read header by header, the others must have its shape.

use std::io;

use memchr::memmem;

/// What every answer to one request must look like.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    body: Option<Vec<u8>>,
    shape: Option<Shape>,
}

/// Where the parts of a good answer lie. Answers to equal requests have equal sizes, since a date always has 29 bytes.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    head: usize,
    /// With the chunks around it, of a chunked one.
    body: usize,
    framing: Framing,
    /// What says so: the digits of Content-Length or the word `chunked`, and where in the head it starts.
    mark: (usize, String),
}

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked,
}

impl Expected {
    /// `body`: what the answers must carry; without one, what matters is that all are as long as the first.
    pub(crate) fn new(body: Option<&[u8]>) -> Expected {
        Expected { body: body.map(<[u8]>::to_vec), shape: None }
    }

    /// The length of the answer at the start of `input`, `None` while it is incomplete.
    ///
    /// # Errors
    ///
    /// When it is no answer, its status is not 200, or its size or body is not the expected one.
    pub(crate) fn check(&mut self, input: &[u8]) -> io::Result<Option<usize>> {
        if !self.shape.as_ref().is_some_and(|shape| shape.fits(input)) {
            self.read_shape(input)?;
        }
        let Some(shape) = self.shape.as_ref().filter(|shape| shape.fits(input)) else {
            return Ok(None);
        };
        let end = shape.head + shape.body;
        let Some(body) = input.get(shape.head..end) else {
            return Ok(None);
        };
        if shape.framing == Framing::Chunked && !body.ends_with(LAST_CHUNK) {
            return Err(bad("the chunks are not as long as in the first answer", input));
        }
        match &self.body {
            Some(expected) if expected != body => Err(bad("the body is not what was sent", input)),
            _ => Ok(Some(end)),
        }
    }

    /// The length of the heads, 0 before the first one.
    pub(crate) fn head_length(&self) -> usize {
        self.shape.as_ref().map_or(0, |shape| shape.head)
    }

    /// Reads the head if it is complete: the first sets the shape, any other is here because it differs.
    fn read_shape(&mut self, input: &[u8]) -> io::Result<()> {
        match (Shape::read(input)?, &self.shape) {
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err(bad("not as long as the first answer", input)),
            (shape, None) => {
                self.shape = shape;
                Ok(())
            }
        }
    }
}

impl Shape {
    /// Whether `input` starts with a complete good head of this shape. Costs three short comparisons.
    fn fits(&self, input: &[u8]) -> bool {
        let (at, mark) = &self.mark;
        input.len() >= self.head
            && input.starts_with(STATUS_200)
            && input[*at..].starts_with(mark.as_bytes())
            && input[self.head - 4..self.head] == *END_OF_HEAD
    }

    fn read(input: &[u8]) -> io::Result<Option<Shape>> {
        let Some(end) = memmem::find(input, END_OF_HEAD) else {
            return match input.len() {
                0..HEAD_LIMIT => Ok(None),
                _ => Err(bad("no end of the head", input)),
            };
        };
        if !input.starts_with(STATUS_200) {
            return Err(bad("the status is not 200", input));
        }
        let text = str::from_utf8(&input[..end]).map_err(io::Error::other)?;
        let head = end + END_OF_HEAD.len();
        let at = |mark: &str| (mark.as_ptr().addr() - text.as_ptr().addr(), mark.to_owned());
        if let Some(digits) = value(text, "content-length") {
            let body = digits.parse().map_err(io::Error::other)?;
            return Ok(Some(Shape { head, body, framing: Framing::Length, mark: at(digits) }));
        }
        let chunked = value(text, "transfer-encoding").filter(|coding| *coding == "chunked");
        let chunked = chunked.ok_or_else(|| bad("neither a Content-Length nor chunks", input))?;
        let body = chunks_length(&input[head..])?;
        Ok(body.map(|body| Shape { head, body, framing: Framing::Chunked, mark: at(chunked) }))
    }
}

/// The value of a header line.
fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(line, _)| line.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The length of a chunked body without trailers, `None` while it is incomplete.
fn chunks_length(body: &[u8]) -> io::Result<Option<usize>> {
    let mut at = 0;
    loop {
        let Some(line) = memmem::find(&body[at..], b"\r\n") else { return Ok(None) };
        let digits = str::from_utf8(&body[at..at + line]).map_err(io::Error::other)?;
        let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
        at += line + size + 4;
        if size == 0 || at > body.len() {
            return Ok((at <= body.len()).then_some(at));
        }
    }
}

fn bad(what: &str, input: &[u8]) -> io::Error {
    let start = &input[..input.len().min(300)];
    io::Error::other(format!("bad answer, {what}: {}", start.escape_ascii()))
}

const STATUS_200: &[u8] = b"HTTP/1.1 200 ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const HEAD_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

    #[test]
    fn answer_is_complete_only_with_its_last_byte() {
        let mut expected = Expected::new(None);
        for cut in 0..GOOD.len() {
            assert_eq!(expected.check(&GOOD[..cut]).unwrap(), None, "{cut} bytes");
        }
        let pipelined = [GOOD, GOOD].concat();
        assert_eq!(expected.check(&pipelined).unwrap(), Some(GOOD.len()));
    }

    #[test]
    fn a_chunked_answer_ends_with_its_last_chunk() {
        let answer =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        let mut expected = Expected::new(None);
        for cut in 0..answer.len() {
            assert_eq!(expected.check(&answer[..cut]).unwrap(), None, "{cut} bytes");
        }
        assert_eq!(expected.check(&[&answer[..], answer].concat()).unwrap(), Some(answer.len()));
        let mut other = answer.to_vec();
        let end = other.len();
        other[end - 5] = b'1';
        assert!(expected.check(&other).is_err());
    }

    #[test]
    fn bad_status_is_an_error_also_after_good_answers() {
        let mut expected = Expected::new(None);
        expected.check(GOOD).unwrap();
        let error = expected.check(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno");
        assert!(error.is_err());
    }

    #[test]
    fn other_length_than_the_first_is_an_error() {
        let mut expected = Expected::new(None);
        expected.check(GOOD).unwrap();
        let longer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!";
        assert!(expected.check(longer).is_err());
    }

    #[test]
    fn echo_must_return_the_very_body() {
        assert!(Expected::new(Some(b"hi")).check(GOOD).is_ok());
        assert!(Expected::new(Some(b"ho")).check(GOOD).is_err());
    }
}
