/// A Content-Type that needs no buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// None, or one among the lines.
    None,
    Text,
    Html,
    Json,
    Octets,
    /// JSON, and `Cache-Control: no-store` beside it.
    UncachedJson,
    /// A text of the program's own.
    Value,
}

/// A whole line as it is sent, or two, and how long that is. What is behind it is filled up, so that all have the same
/// length.
type Padded = ([u8; LONGEST], u8);

/// Four times sixteen bytes.
const LONGEST: usize = 64;

/// In the order of [`ContentType`].
const LINES: [Padded; 6] = [
    padded(b""),
    padded(b"Content-Type: text/plain; charset=utf-8\r\n"),
    padded(b"Content-Type: text/html; charset=utf-8\r\n"),
    padded(b"Content-Type: application/json\r\n"),
    padded(b"Content-Type: application/octet-stream\r\n"),
    padded(b"Content-Type: application/json\r\nCache-Control: no-store\r\n"),
];

const fn padded(line: &[u8]) -> Padded {
    let mut text = [0; LONGEST];
    text.split_at_mut(line.len()).0.copy_from_slice(line);
    (text, line.len() as u8)
}

impl ContentType {
    /// How many have a known line, or none.
    pub(crate) const KNOWN: usize = LINES.len();

    /// The line beside the type of [`UncachedJson`](ContentType::UncachedJson).
    pub(super) const UNCACHED: (&'static str, &'static [u8]) = ("Cache-Control", b"no-store");

    /// The known lines, each with its CRLF, in the order of the types; that of the first is empty.
    pub(crate) fn lines() -> impl Iterator<Item = &'static [u8]> {
        LINES.iter().map(|(line, length)| &line[..usize::from(*length)])
    }

    /// The line of a usual type, with its CRLF; `None` for one of the program's own.
    #[inline(always)]
    pub(crate) fn padded_line(self) -> Option<(&'static [u8; LONGEST], usize)> {
        LINES.get(self as usize).map(|(line, length)| (line, usize::from(*length)))
    }

    /// The value of a usual type.
    pub(super) fn value(self) -> Option<&'static [u8]> {
        // What is told of it is the type alone.
        let one = if self == ContentType::UncachedJson { ContentType::Json } else { self };
        let (line, length) = one.padded_line()?;
        line[..length].strip_prefix(b"Content-Type: ")?.strip_suffix(b"\r\n")
    }
}
