//! A body that is compressed as it is sent.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::{Body, BodyStream, Bytes, Error, Frame, Result, Trailers};

use super::gzip::Gzip;

/// A body, compressed. Nothing is read ahead, and what comes in is sent as soon as the body has to wait.
pub(super) struct Compressed {
    body: Body,
    level: u8,
    /// From the first byte on.
    gzip: Option<Gzip>,
    /// What has come and is not compressed yet.
    input: Bytes,
    /// What is compressed and not sent yet.
    output: Vec<u8>,
    /// The length that the head was to announce.
    announced: Option<u64>,
    /// Bytes that came.
    length: u64,
    /// How many of them were compressed since others had their turn.
    worked: usize,
    state: State,
}

enum State {
    /// There may be more.
    Open {
        /// Everything that came has been given out.
        is_flushed: bool,
        /// The body has said that it waits, and has not been told that what it gave was taken.
        owes_wait: bool,
    },
    /// Nothing follows but these.
    Ended(Option<Trailers>),
    /// Nobody receives it: the body goes on to its own end, and is not compressed.
    Unheard,
}

/// How much is compressed at a time. A turn is two of them, about a millisecond.
const PIECE: usize = 32 * 1024;
const TURN: usize = 64 * 1024;

/// Output is gathered up to this many bytes.
const GATHER: usize = 16 * 1024;

impl Compressed {
    /// `announced` is the length that the body has, if somebody has said so. Another one breaks it off, as it does without
    /// compression.
    #[inline]
    pub(super) fn new(body: Body, level: u8, announced: Option<u64>) -> Compressed {
        Compressed {
            body,
            level,
            gzip: None,
            input: Bytes::new(),
            output: Vec::new(),
            announced,
            length: 0,
            worked: 0,
            state: State::Open { is_flushed: true, owes_wait: false },
        }
    }

    /// Takes a piece of the body.
    ///
    /// # Errors
    ///
    /// When it is more than was announced.
    #[inline]
    fn take(&mut self, data: Bytes) -> Result<()> {
        self.length += data.len() as u64;
        self.input = data;
        match self.announced {
            Some(announced) if self.length > announced => Err(self.mismatch(announced)),
            _ => Ok(()),
        }
    }

    #[inline]
    fn mismatch(&self, announced: u64) -> Error {
        Error::ContentLengthMismatch { announced, written: self.length }
    }

    /// Compresses a piece of what has come.
    #[inline]
    fn work(&mut self) {
        let piece = self.input.split_to(self.input.len().min(PIECE));
        self.worked += piece.len();
        self.gzip.get_or_insert_with(|| Gzip::new(self.level)).add(&piece, &mut self.output);
        self.state = State::Open { is_flushed: false, owes_wait: false };
    }

    #[inline]
    fn take_output(&mut self) -> Poll<Option<Result<Frame>>> {
        Poll::Ready(Some(Ok(Frame::Data(mem::take(&mut self.output).into()))))
    }

    /// The body has to wait. What came before is not to wait with it.
    #[inline]
    fn wait(&mut self, is_flushed: bool) -> Poll<Option<Result<Frame>>> {
        self.worked = 0;
        if is_flushed {
            return Poll::Pending;
        }
        if let Some(gzip) = &mut self.gzip {
            gzip.flush(&mut self.output);
        }
        self.state = State::Open { is_flushed: true, owes_wait: true };
        self.take_output()
    }

    /// The end of the body. An empty one is an empty member.
    #[inline]
    fn end(&mut self, trailers: Option<Trailers>) -> Poll<Option<Result<Frame>>> {
        if let Some(announced) = self.announced
            && announced != self.length
        {
            return Poll::Ready(Some(Err(self.mismatch(announced))));
        }
        let mut gzip = self.gzip.take().unwrap_or_else(|| Gzip::new(self.level));
        gzip.finish(&mut self.output);
        self.state = State::Ended(trailers);
        self.take_output()
    }
}

impl BodyStream for Compressed {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = &mut *self;
        loop {
            let is_flushed = match &mut this.state {
                State::Unheard => return this.body.poll_frame(cx),
                State::Ended(trailers) => {
                    return Poll::Ready(trailers.take().map(|trailers| Ok(Frame::Trailers(trailers))));
                }
                State::Open { is_flushed, owes_wait } => {
                    // The body counts its polls: by the next one it knows that what it gave out before has left. So there is
                    // none before the receiver, which has just been given the rest of that, has waited itself. It is woken
                    // by what the body waits for.
                    if mem::take(owes_wait) {
                        return Poll::Pending;
                    }
                    *is_flushed
                }
            };
            if this.worked >= TURN {
                this.worked = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.input.is_empty() {
                this.work();
                if this.output.len() >= GATHER {
                    return this.take_output();
                }
                continue;
            }
            match this.body.poll_frame(cx) {
                Poll::Pending => return this.wait(is_flushed),
                Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                    // Passed on as the nothing that it is: whoever receives it counts such pieces.
                    if data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::Data(data))));
                    }
                    this.take(data)?;
                }
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => return this.end(Some(trailers)),
                Poll::Ready(None) => return this.end(None),
                Poll::Ready(Some(other)) => return Poll::Ready(Some(other)),
            }
        }
    }

    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    #[inline]
    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        let goes_on = self.body.receiver_gone(error);
        if goes_on {
            self.gzip = None;
            self.state = State::Unheard;
        }
        goes_on
    }
}
