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

    /// Adds bytes.
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
        match &mut self.0 {
            Some(buffer) if buffer.len() > MOST_COPIED => Bytes::from(std::mem::take(&mut **buffer)),
            _ => Bytes::copy_from_slice(self.as_slice()),
        }
    }
}

impl From<Vec<u8>> for BodyBuffer {
    /// Without a copy: the memory joins the pool.
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
        if let Some(buffer) = self.0.take() {
            pool::give_back(buffer);
        }
    }
}

impl fmt::Debug for BodyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyBuffer({:?})", self.as_slice().escape_ascii().to_string())
    }
}
