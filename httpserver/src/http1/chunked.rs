//! Decodes chunked bodies (RFC 9112 7.1), byte by byte where it is framing and in runs where it is data.
//!
//! The decoder is a state machine that keeps no bytes: whatever it has consumed may leave the buffer, and it goes on with
//! the next byte in any later call. Only a trailer line has to be in the buffer as a whole.
//!
//! Nothing is lenient here. Programs that read chunks differently disagree about where a request ends, and what is in
//! between is smuggled past one of them (RFC 9112 11.2). So every byte of framing is checked against the grammar, those
//! of extensions that nobody reads among them.
//!
//! Bodies of requests and of responses have the same grammar and the same limits. A client turns the errors into those of
//! a server by [`fault_of_server`](super::refusal::fault_of_server).

use std::ops::Range;

use memchr::memchr;

use super::refusal::{BARE_LINE_END, bad};
use crate::{
    Error,
    headers::{is_same_name, is_token_byte},
};

/// Longest line with a chunk's size and extensions, with its CR.
const MAX_SIZE_LINE: u16 = 256;
/// Most digits of a size, as many as 64 bits have. The grammar allows any number of zeros in front; no sender has a use
/// for them, and programs differ in what they make of a size that overflows their integer.
const MAX_SIZE_DIGITS: u16 = 16;
/// Bytes of framing beyond what is usual for the data sent with it. Extensions could otherwise be used to keep the
/// server busy without any body: the body limit does not count them (CVE-2023-39326; the rule is that of its fix in
/// Go).
const MAX_EXCESS: u32 = 16 * 1024;
/// All trailer lines together. They come behind the head, whose limit does not count them.
const MAX_TRAILERS: u16 = 8 * 1024;

/// The state of one chunked body. It allocates nothing and keeps no data.
///
/// # Examples
///
/// ```
/// use httpserver::codec::{ChunkStep, ChunkedDecoder};
///
/// let (mut decoder, mut at, mut body) = (ChunkedDecoder::new(), 0, Vec::new());
/// let wire = b"6\r\nHello,\r\n7\r\n World!\r\n0\r\n\r\n";
/// while let ChunkStep::Data { consumed, data } = decoder.decode(&wire[at..], 1_000)? {
///     body.extend_from_slice(&wire[at..][data]);
///     at += consumed;
/// }
/// assert_eq!(body, b"Hello, World!");
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Digits of the current size line are added here; while in data, the bytes left of the chunk.
    remaining: u64,
    /// Data bytes of all chunks whose size line has been read.
    total: u64,
    /// Framing bytes so far, less 16 and twice the data per chunk.
    excess: u32,
    /// Bytes of the current size line.
    line: u16,
    /// Bytes of the current trailer line known to hold no LF.
    scanned: u16,
    /// Bytes of complete trailer lines.
    trailers: u16,
}

/// What the next byte has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the first digit of a size.
    #[default]
    SizeStart,
    /// Behind a digit of a size.
    Size,
    /// Behind the size or inside an extension.
    Extension(Extension),
    /// Behind the CR of a size line.
    SizeLf,
    /// In the data of a chunk, `remaining` bytes before its end.
    Data,
    /// Behind the data.
    DataCr,
    /// Behind the CR that follows the data.
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    Trailer,
    /// Behind that.
    End,
}

/// Where in `BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ]` (RFC 9112 7.1.1) the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// White space behind the size or a value: a semicolon has to follow.
    Space,
    /// Behind the semicolon, the name has not begun.
    Semicolon,
    /// In the name.
    Name,
    /// White space behind the name: an equals sign or a semicolon has to follow.
    NameSpace,
    /// Behind the equals sign, the value has not begun.
    Equals,
    /// In a value that is a token.
    Token,
    /// In a quoted string.
    Quoted,
    /// Behind a backslash in a quoted string.
    Escape,
    /// Behind the closing quote.
    Unquoted,
}

impl Extension {
    /// Where the next byte leads to; `None` if it may not stand there.
    fn next(self, b: u8) -> Option<Extension> {
        let is_text = b == b'\t' || (b >= b' ' && b != 0x7f);
        // Extensions are ignored (RFC 9112 7.1.1), and their grammar is followed to the letter all the same: a program
        // that takes another byte for the end of the line would read other chunks (CVE-2025-55315).
        Some(match (self, b) {
            (Extension::Quoted, b'"') => Extension::Unquoted,
            (Extension::Quoted, b'\\') => Extension::Escape,
            (Extension::Quoted | Extension::Escape, _) if is_text => Extension::Quoted,
            (Extension::Semicolon, b' ' | b'\t') => Extension::Semicolon,
            (Extension::Semicolon | Extension::Name, _) if is_token_byte(b) => Extension::Name,
            (Extension::Name | Extension::NameSpace, b' ' | b'\t') => Extension::NameSpace,
            (Extension::Name | Extension::NameSpace, b'=') => Extension::Equals,
            (Extension::Equals, b' ' | b'\t') => Extension::Equals,
            (Extension::Equals, b'"') => Extension::Quoted,
            (Extension::Equals | Extension::Token, _) if is_token_byte(b) => Extension::Token,
            (Extension::Token | Extension::Unquoted | Extension::Space, b' ' | b'\t') => Extension::Space,
            (
                Extension::Name | Extension::NameSpace | Extension::Token | Extension::Unquoted | Extension::Space,
                b';',
            ) => Extension::Semicolon,
            _ => return None,
        })
    }

    /// Whether the line may end here. White space belongs in front of a semicolon or an equals sign alone.
    fn is_complete(self) -> bool {
        matches!(self, Extension::Name | Extension::Token | Extension::Unquoted)
    }
}

/// What a call found at the beginning of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkStep {
    /// Everything usable was consumed; more bytes are needed.
    NeedMore {
        /// Bytes to remove from the buffer.
        consumed: usize,
    },
    /// A run of body data.
    Data {
        /// Bytes to remove from the buffer, the data and the framing in front of it.
        consumed: usize,
        /// Where the data lies in the buffer; not empty.
        data: Range<usize>,
    },
    /// A trailer line, well-formed and with a name that may stand there. More may follow.
    Trailer {
        /// Bytes to remove from the buffer: the line, the framing in front of it, and its CR LF.
        consumed: usize,
        /// Where the name lies in the buffer.
        name: Range<usize>,
        /// Where the value lies, white space around it included.
        value: Range<usize>,
    },
    /// The body is over.
    End {
        /// Bytes to remove from the buffer; the next request begins behind them.
        consumed: usize,
    },
}

impl ChunkedDecoder {
    /// At the beginning of a body.
    pub fn new() -> Self {
        ChunkedDecoder::default()
    }

    /// Finds the next run of data, or the next trailer line, in `buf`, which begins where the last call stopped consuming.
    ///
    /// # Errors
    ///
    /// 400 for broken framing or a trailer that has no business there, 413 if the body grows past `max_body` bytes,
    /// 431 for too many trailers. The connection is of no further use then.
    pub fn decode(&mut self, buf: &[u8], max_body: u64) -> Result<ChunkStep, Error> {
        let mut at = 0;
        while at < buf.len() {
            match self.state {
                // Data is not looked at: as much as there is of the chunk is one run, and the caller takes it from where
                // it lies.
                State::Data => {
                    let data = at..at + self.take_data(buf.len() - at);
                    return Ok(ChunkStep::Data { consumed: data.end, data });
                }
                // Whole lines, because a name can only be judged with its colon.
                State::Trailer => match self.take_trailer(&buf[at..])? {
                    Some(TrailerLine { len, colon: None }) => at += len,
                    Some(TrailerLine { len, colon: Some(colon) }) => {
                        let (name, value) = (at..at + colon, at + colon + 1..at + len - b"\r\n".len());
                        return Ok(ChunkStep::Trailer { consumed: at + len, name, value });
                    }
                    None => break,
                },
                State::End => break,
                // A size line has a handful of bytes; a search for its end would cost more than it saves.
                _ => {
                    self.take_framing(buf[at], max_body)?;
                    at += 1;
                }
            }
        }
        Ok(match self.state {
            State::End => ChunkStep::End { consumed: at },
            _ => ChunkStep::NeedMore { consumed: at },
        })
    }

    /// How much data of the current chunk is next; 0 when framing is.
    pub(crate) fn data_left(&self) -> u64 {
        if self.state == State::Data { self.remaining } else { 0 }
    }

    /// Takes up to `available` bytes of the current chunk's data.
    pub(crate) fn take_data(&mut self, available: usize) -> usize {
        let taken = self.remaining.min(available as u64);
        self.remaining -= taken;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        // No more than `available`, which is a usize.
        taken as usize
    }

    /// Takes one byte that is neither data nor part of a trailer.
    ///
    /// A line end is CR LF and nothing else: a bare LF that ends a size line here and not elsewhere would smuggle
    /// requests.
    #[inline]
    fn take_framing(&mut self, b: u8, max_body: u64) -> Result<(), Error> {
        match self.state {
            State::DataCr if b == b'\r' => {
                self.state = State::DataLf;
                return Ok(());
            }
            State::DataLf if b == b'\n' => {
                self.state = State::SizeStart;
                self.line = 0;
                return Ok(());
            }
            // A size that does not match its data shows here first.
            State::DataCr | State::DataLf => return Err(bad("chunk data not followed by CR LF")),
            State::SizeLf if b == b'\n' => return self.begin_chunk(max_body),
            State::SizeLf => return Err(bad("bare CR in a chunk size line")),
            _ => {}
        }
        self.line += 1;
        if self.line > MAX_SIZE_LINE {
            return Err(bad("chunk size line too long"));
        }
        // What is left are the bytes of a size line in front of its LF.
        self.state = match (self.state, b) {
            (State::SizeStart | State::Size, _) if b.is_ascii_hexdigit() => {
                self.add_digit(b)?;
                State::Size
            }
            (State::Size, b'\r') => State::SizeLf,
            (State::Size, b';') => State::Extension(Extension::Semicolon),
            (State::Size, b' ' | b'\t') => State::Extension(Extension::Space),
            (State::Extension(extension), b'\r') if extension.is_complete() => State::SizeLf,
            (State::Extension(extension), _) => {
                State::Extension(extension.next(b).ok_or(bad("malformed chunk extension"))?)
            }
            _ => return Err(bad("malformed chunk size")),
        };
        Ok(())
    }

    /// Takes one digit of a size, which is hexadecimal in either case.
    fn add_digit(&mut self, b: u8) -> Result<(), Error> {
        // Digits come first, so the length of the line is their number.
        if self.line > MAX_SIZE_DIGITS {
            return Err(bad("chunk size with too many digits"));
        }
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            _ => (b | 0x20) - b'a' + 10,
        };
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(())
    }

    /// Takes the LF that ends a size line. The chunk of size 0 is the last one, and the trailers follow.
    fn begin_chunk(&mut self, max_body: u64) -> Result<(), Error> {
        if self.remaining == 0 {
            self.state = State::Trailer;
            return Ok(());
        }
        // Judged by the announced size, before the data has come.
        self.total = self
            .total
            .checked_add(self.remaining)
            .filter(|&total| total <= max_body)
            .ok_or(Error::BodyTooLarge { limit: max_body })?;
        // Bytes of framing that come with this much data in good faith are forgiven, and the rest is added up. So a body
        // of tiny chunks without extensions may be endless, and one of long extensions may not.
        let usual = u32::try_from(self.remaining.saturating_mul(2).saturating_add(16)).unwrap_or(u32::MAX);
        self.excess = (self.excess + u32::from(self.line)).saturating_sub(usual);
        if self.excess > MAX_EXCESS {
            return Err(bad("more chunk extensions than data"));
        }
        self.state = State::Data;
        Ok(())
    }

    /// Takes a trailer line or the final empty line that `buf` begins with; `None` while it is incomplete.
    fn take_trailer(&mut self, buf: &[u8]) -> Result<Option<TrailerLine>, Error> {
        let room = usize::from(MAX_TRAILERS - self.trailers);
        // A line that comes byte by byte is searched once, not once for each byte.
        let scanned = usize::from(self.scanned).min(buf.len());
        // Its CR LF comes on top, also that of the empty line behind trailers that used all the room.
        let window = &buf[..buf.len().min(room + 2)];
        let Some(end) = memchr(b'\n', &window[scanned.min(window.len())..]).map(|at| scanned + at) else {
            if window.len() == room + 2 {
                return Err(Error::HeadTooLarge { limit: usize::from(MAX_TRAILERS) });
            }
            self.scanned = window.len() as u16;
            return Ok(None);
        };
        self.scanned = 0;
        let Some(line) = window[..end].strip_suffix(b"\r") else {
            return Err(BARE_LINE_END);
        };
        let len = end + 1;
        if line.is_empty() {
            self.state = State::End;
            return Ok(Some(TrailerLine { len, colon: None }));
        }
        let colon = check_trailer(line)?;
        self.trailers = (usize::from(self.trailers) + len).min(usize::from(MAX_TRAILERS)) as u16;
        Ok(Some(TrailerLine { len, colon: Some(colon) }))
    }
}

/// A whole line behind the last chunk.
struct TrailerLine {
    /// Its CR LF included.
    len: usize,
    /// Where its name ends; `None` for the empty line, which ends the body.
    colon: Option<usize>,
}

/// Checks a trailer line by the grammar of a header line, and that its name may stand there (RFC 9110 6.5.1): what looks
/// like framing or routing there was meant for someone. Returns where the name ends.
fn check_trailer(line: &[u8]) -> Result<usize, Error> {
    let colon = memchr(b':', line).ok_or(bad("malformed trailer"))?;
    let (name, value) = line.split_at(colon);
    let is_value = |&b: &u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    if name.is_empty() || !name.iter().copied().all(is_token_byte) || !value.iter().all(is_value) {
        return Err(bad("malformed trailer"));
    }
    if is_forbidden_trailer(name) {
        return Err(bad("forbidden trailer"));
    }
    Ok(colon)
}

/// Whether a field may not come behind a body, in any letter case (RFC 9110 6.5.1).
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    FORBIDDEN_TRAILERS.iter().any(|forbidden| is_same_name(name, forbidden.as_bytes()))
}

/// Framing, routing, request modifiers, authentication and content format.
const FORBIDDEN_TRAILERS: [&str; 24] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
