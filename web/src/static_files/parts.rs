//! Several ranges of a file as one body: `multipart/byteranges` (RFC 9110, section 14.6).

use std::{
    collections::VecDeque,
    fs::File,
    ops::Range,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use httpserver::{Body, BodyStream, FilePart, Frame, httputil::ByteRange};

use crate::{error::Result, jitter::random};

/// A body, with the `Content-Type` that says how to take it apart.
pub(super) struct Parts {
    pub(super) content_type: String,
    pub(super) body: Body,
}

impl Parts {
    /// `parts` of a file of `size` bytes. What is read of the file at a time is all that is held of it.
    ///
    /// # Errors
    ///
    /// When the file has become shorter.
    #[inline]
    pub(super) fn new(file: File, size: u64, parts: &[Range<u64>], content_type: &str) -> Result<Parts> {
        // Nobody can have put it into the file: 128 bits that are made here.
        let boundary = format!("{:016x}{:016x}", random(), random());
        let file = Rc::new(file);
        let mut pieces = VecDeque::with_capacity(2 * parts.len() + 1);
        let mut before = "";
        for part in parts {
            let range = ByteRange::Part { start: part.start, end: part.end }.content_range(size).unwrap_or_default();
            let head =
                format!("{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n");
            pieces.push_back(Body::from(head));
            pieces.push_back(Body::file_part(FilePart::within(Rc::clone(&file), size, part.clone())?));
            before = "\r\n";
        }
        pieces.push_back(Body::from(format!("\r\n--{boundary}--\r\n")));
        let left = pieces.iter().filter_map(Body::content_length).sum();
        Ok(Parts {
            content_type: format!("multipart/byteranges; boundary={boundary}"),
            body: Body::stream(Pieces { pieces, left }),
        })
    }
}

/// Bodies one behind the other.
struct Pieces {
    pieces: VecDeque<Body>,
    /// Bytes in all of them.
    left: u64,
}

impl BodyStream for Pieces {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<httpserver::Result<Frame>>> {
        while let Some(piece) = self.pieces.front_mut() {
            match ready!(piece.poll_chunk(cx)) {
                Ok(Some(data)) => {
                    self.left -= data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Ok(None) => drop(self.pieces.pop_front()),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(None)
    }

    #[inline]
    fn exact_size(&self) -> Option<u64> {
        Some(self.left)
    }
}
