//! A body that is decompressed as it is read.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use crate::{Body, BodyStream, Error, Frame, Result};

/// The decompressed content of a body: one gzip member or several, and nothing behind them (RFC 1952 2.2).
pub(super) struct Gunzip {
    body: Body,
    /// What has come and is not decompressed yet.
    input: Bytes,
    inflate: Decompress,
    state: State,
    /// How many bytes may still come out, of `max`.
    left: u64,
    max: u64,
}

enum State {
    /// Behind a member, or in front of the first one. Without any, there is no content.
    Between {
        is_first: bool,
    },
    Member {
        is_first: bool,
    },
    End,
    Failed(Box<Error>),
}

/// The most that comes out in one piece. The memory for it is not touched beyond what comes out.
const PIECE: usize = 32 * 1024;
/// gzip's window, which a decompressor has to have room for.
const WINDOW_BITS: u8 = 15;
/// What a member behind the first one counts for. An empty one has 20 bytes and costs as much time as several KiB, so a
/// body of nothing else would be too cheap to send.
const MEMBER_COST: u64 = 1024;

impl Gunzip {
    /// At most `max` bytes come out.
    #[inline]
    pub(super) fn new(body: Body, max: u64) -> Gunzip {
        let inflate = Decompress::new_gzip(WINDOW_BITS);
        Gunzip { body, input: Bytes::new(), inflate, state: State::Between { is_first: true }, left: max, max }
    }

    /// Decompresses what there is; nothing when more has to come.
    #[inline]
    fn decompress(&mut self) -> Result<Bytes> {
        let mut output = Vec::new();
        while output.is_empty() && !self.input.is_empty() {
            if let State::Between { is_first } = self.state {
                self.begin_member(is_first);
            }
            output.reserve(PIECE);
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(&self.input, &mut output, FlushDecompress::None);
            // It cannot take more than it was given.
            self.input.advance((self.inflate.total_in() - before) as usize);
            match status {
                Ok(Status::StreamEnd) => self.end_member()?,
                Ok(Status::Ok) => {}
                // Input and room were there, so it cannot go on for another reason.
                Ok(Status::BufError) | Err(_) => return Err(MALFORMED),
            }
        }
        self.charge(output.len() as u64)?;
        // A short piece is not to hold the room of a long one for as long as somebody keeps it.
        output.shrink_to_fit();
        Ok(Bytes::from(output))
    }

    #[inline]
    fn begin_member(&mut self, is_first: bool) {
        if !is_first {
            self.inflate.reset(true);
        }
        self.state = State::Member { is_first };
    }

    /// Charged here, and not when it begins: what is no member is malformed, however little of the limit is left.
    #[inline]
    fn end_member(&mut self) -> Result<()> {
        let is_first = matches!(self.state, State::Member { is_first: true });
        self.state = State::Between { is_first: false };
        if is_first { Ok(()) } else { self.charge(MEMBER_COST) }
    }

    #[inline]
    fn charge(&mut self, count: u64) -> Result<()> {
        self.left = self.left.checked_sub(count).ok_or(Error::BodyTooLarge { limit: self.max })?;
        Ok(())
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>>> {
        loop {
            let piece = self.decompress()?;
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(Frame::Data(piece))));
            }
            match ready!(self.body.poll_frame(cx)).transpose()? {
                Some(Frame::Data(data)) => self.input = data,
                Some(trailers) => return Poll::Ready(Ok(Some(trailers))),
                None => return Poll::Ready(self.end().map(|()| None)),
            }
        }
    }

    /// The compressed body has ended.
    #[inline]
    fn end(&mut self) -> Result<()> {
        match self.state {
            State::Between { .. } | State::End => {
                self.state = State::End;
                Ok(())
            }
            _ => Err(Error::BadRequest("the gzip content ends too early")),
        }
    }
}

impl BodyStream for Gunzip {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match &self.state {
            State::End => return Poll::Ready(None),
            State::Failed(error) => return Poll::Ready(Some(Err(Error::clone(error)))),
            State::Between { .. } | State::Member { .. } => {}
        }
        let frame = ready!(self.poll(cx));
        if let Err(error) = &frame {
            self.state = State::Failed(Box::new(error.clone()));
            self.input = Bytes::new();
        }
        Poll::Ready(frame.transpose())
    }
}

const MALFORMED: Error = Error::BadRequest("malformed gzip content");
