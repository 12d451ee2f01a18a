//! Bytes of a body in memory that is used again.

use std::{fmt, io};

use bytes::Bytes;

use crate::pool::{self, Buffer};

/// Bytes that are to become a body, written one after the other.
///
/// They are in a buffer that is pooled per thread and returns there when the answer has been sent: a short answer that is
/// made this way allocates nothing. Without bytes there is no buffer.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use httpserver::{BodyBuffer, Response};
///
/// let mut body = BodyBuffer::new();
/// body.extend_from_slice(b"2 + 2 = ");
/// write!(body, "{}", 2 + 2)?;
/// assert_eq!(Response::text(body).body().as_bytes(), Some(&b"2 + 2 = 4"[..]));
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Default)]
pub struct BodyBuffer(Option<Buffer>);

/// Up to this many bytes are copied out, so that the buffer stays with the pool.
const MOST_COPIED: usize = 4096;

impl BodyBuffer {
    /// No bytes yet.
    pub const fn new() -> BodyBuffer {
        BodyBuffer(None)
    }

    /// Adds bytes. The first ones take a buffer from the pool.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_with(pool::take).extend_from_slice(bytes);
        }
    }

    /// The bytes so far.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The bytes on their own, without a copy if they are many.
    pub fn into_bytes(mut self) -> Bytes {
        match self.0.take_if(|buffer| buffer.len() > MOST_COPIED) {
            // The memory goes with them, and nothing returns to the pool.
            Some(buffer) => Bytes::from(*buffer),
            None => Bytes::copy_from_slice(self.as_slice()),
        }
    }
}

impl From<Vec<u8>> for BodyBuffer {
    /// Without a copy: the memory joins the pool, if it has room for more than a line or two.
    fn from(bytes: Vec<u8>) -> BodyBuffer {
        BodyBuffer((!bytes.is_empty()).then(|| Box::new(bytes)))
    }
}

impl io::Write for BodyBuffer {
    /// Takes all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyBuffer {
    #[inline]
    fn drop(&mut self) {
        // Where it was never written to, no pool is touched.
        if let Some(buffer) = self.0.take() {
            pool::give_back(buffer);
        }
    }
}

impl fmt::Debug for BodyBuffer {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyBuffer({:?})", self.as_slice().escape_ascii().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{Body, Frame};

    fn buffer(bytes: &[u8]) -> BodyBuffer {
        let mut buffer = BodyBuffer::new();
        buffer.extend_from_slice(bytes);
        buffer
    }

    #[test]
    fn without_bytes_there_is_no_buffer() {
        assert!(buffer(b"").0.is_none());
        assert!(BodyBuffer::from(Vec::new()).0.is_none());
        assert!(buffer(b"").into_bytes().is_empty());
    }

    #[test]
    fn bytes_come_out_as_they_went_in_few_or_many() {
        for length in [1, MOST_COPIED, MOST_COPIED + 1] {
            let bytes = vec![7; length];
            assert_eq!(buffer(&bytes).into_bytes(), bytes);
        }
    }

    #[test]
    fn the_memory_is_used_again() {
        let first = buffer(b"first");
        let address = first.as_slice().as_ptr();
        drop(first);
        let second = buffer(b"second");
        assert_eq!(second.as_slice(), b"second");
        assert_eq!(second.as_slice().as_ptr(), address);
    }

    #[test]
    fn memory_that_has_gone_elsewhere_leaves_no_buffer_without_room() {
        for _ in 0..3 {
            assert_eq!(buffer(&[7; MOST_COPIED + 1]).into_bytes().len(), MOST_COPIED + 1);
            assert!(pool::take().capacity() > 0);
        }
    }

    #[test]
    fn a_body_made_of_it_is_there_as_a_whole_and_can_be_pulled() {
        let mut body = Body::from(buffer(b"all"));
        assert_eq!(body.as_bytes(), Some(&b"all"[..]));
        assert_eq!(body.content_length(), Some(3));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(Frame::Data(data)))) = body.poll_frame(&mut cx) else { panic!("no data") };
        assert_eq!(data, "all");
        assert!(body.is_end());
        assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(None)));
    }
}
