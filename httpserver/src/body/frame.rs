use std::fmt;

use bytes::Bytes;

use crate::{Result, field_lines::FieldLines};

/// A piece of a [`Body`](crate::Body): data, or the trailers that end it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Frame {
    /// The next bytes. An empty piece is allowed and says nothing.
    Data(Bytes),
    /// Header lines behind the data. Nothing follows them. A chunked message has them (RFC 9112 7.1.2); an answer with any
    /// other framing has no place for trailers and drops them.
    Trailers(Trailers),
}

impl Frame {
    /// The data of the piece, if it is data.
    pub fn into_data(self) -> Option<Bytes> {
        match self {
            Frame::Data(data) => Some(data),
            Frame::Trailers(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Frame {
    fn from(data: T) -> Self {
        Frame::Data(data.into())
    }
}

/// Header lines that follow a body (RFC 9110 6.5): a checksum, a signature, the outcome of a long computation.
///
/// Those of a request are read with [`Body::take_trailers`](crate::Body::take_trailers). They are at most 8 KiB, their
/// grammar has been checked, and none decides about framing, routing or authentication. They are kept apart from the header
/// lines: nothing that a client sends behind its body changes what was decided before it (RFC 9110 6.5.1).
///
/// # Examples
///
/// ```
/// use httpserver::Trailers;
///
/// let mut trailers = Trailers::new();
/// trailers.append("Server-Timing", "total;dur=123")?;
/// assert!(trailers.append("Content-Length", "5").is_err());
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Default)]
pub struct Trailers {
    lines: FieldLines,
}

impl Trailers {
    /// No lines yet.
    pub fn new() -> Trailers {
        Trailers::default()
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`](crate::Error::InvalidHeader) when the name is no token, when the value has a control
    /// character, and for a field that decides about framing, routing or authentication: those may not come behind the
    /// body (RFC 9110 6.5.1).
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.lines.append_trailer(name, value.as_ref())
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.as_slice().is_empty()
    }

    /// The value of the first line with this name, in any case; `None` if there is no such line.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.lines.get(name)
    }

    /// The lines as name and value, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter()
    }

    /// Adds a line that has been checked, without the white space around its value.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.lines.push(name, value);
    }

    /// The lines as they are sent, each with its CRLF.
    pub(crate) fn as_lines(&self) -> &[u8] {
        self.lines.as_slice()
    }
}

impl fmt::Debug for Trailers {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()))).finish()
    }
}
