//! The model: what was sent and not read is a queue of bytes, and what a read may do follows from it alone.

use std::{collections::VecDeque, ops::RangeInclusive};

use bytes::Bytes;
use iostream::Error;

/// A read.
#[derive(Debug, Clone)]
pub(super) enum How {
    Until(Vec<u8>),
    UntilWithin(Vec<u8>, usize),
    /// A regex that matches these bytes.
    Regex(Vec<u8>),
    Bytes(usize),
    Some(usize),
    Into(usize),
    Partly(usize),
    With(usize),
    /// `poll_read_some`.
    Polled(usize),
    /// So many bytes of what a `BufReader` shows.
    Buffered(usize),
    UntilClose,
}

/// What a read has to do.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Wait,
    /// Bytes, as many as this.
    Bytes(RangeInclusive<usize>),
    /// The end of input.
    Closed,
    /// The end of the stream, because the read is over its limit.
    Unsatisfiable,
}

#[derive(Default)]
pub(super) struct Model {
    unread: VecDeque<u8>,
    /// No more will come.
    pub(super) ended: bool,
}

impl Model {
    pub(super) fn len(&self) -> usize {
        self.unread.len()
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.unread.extend(bytes);
    }

    pub(super) fn answer(&mut self, how: &How) -> Answer {
        let len = self.unread.len();
        let not_yet = if self.ended { Answer::Closed } else { Answer::Wait };
        let exactly = |n| Answer::Bytes(n..=n);
        match how {
            How::Until(delimiter) | How::Regex(delimiter) => self.end_of(delimiter).map_or(not_yet, exactly),
            How::UntilWithin(delimiter, limit) => match self.end_of(delimiter) {
                Some(end) if end <= *limit => exactly(end),
                _ if len >= *limit => Answer::Unsatisfiable,
                _ => not_yet,
            },
            How::Bytes(n) | How::Into(n) | How::With(n) if *n <= len => exactly(*n),
            How::Some(n) | How::Partly(n) | How::Polled(n) | How::Buffered(n) if len > 0 => {
                Answer::Bytes(1..=*n.min(&len))
            }
            How::UntilClose if self.ended => exactly(len),
            _ => not_yet,
        }
    }

    fn end_of(&mut self, delimiter: &[u8]) -> Option<usize> {
        let unread = self.unread.make_contiguous();
        let start = unread.windows(delimiter.len()).position(|window| window == delimiter)?;
        Some(start + delimiter.len())
    }

    /// Fails when the read should have done something else. Returns whether the stream goes on.
    pub(super) fn check(&mut self, how: &How, result: iostream::Result<Bytes>) -> bool {
        let answer = self.answer(how);
        match (result, &answer) {
            (Ok(bytes), Answer::Bytes(allowed)) if allowed.contains(&bytes.len()) => self.take(&bytes),
            (Err(Error::Closed { .. }), Answer::Closed) => {}
            (Err(Error::Unsatisfiable { .. }), Answer::Unsatisfiable) => return false,
            (Ok(bytes), _) => panic!("{how:?} gave {} bytes, not {answer:?}", bytes.len()),
            (Err(error), _) => panic!("{how:?}: {error:?}, not {answer:?}"),
        }
        true
    }

    /// Takes what was read off the queue.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let expected: Vec<u8> = self.unread.drain(..bytes.len()).collect();
        assert!(bytes == expected, "{} bytes were read that are not those that were sent", bytes.len());
    }
}
