use bytes::{Buf, Bytes};
use memchr::memmem::{self, Finder};

use super::{FormLimits, PartHead, params::Params};
use crate::{Error, Result, built_headers::without_params};

/// Takes a multipart body apart as its bytes are pushed in. It reads nothing by itself and has no future, so it can be
/// used with any source.
///
/// [`push`](Parser::push) hands it what has come, and [`next`](Parser::next) returns what that makes: the heads of parts,
/// pieces of their contents, and their ends. Contents are slices of what was pushed, never copies. What is held back is at
/// most the header of one part. In whatever pieces the bytes come, the parts are the same.
///
/// # What is refused
///
/// The first fault ends the form with 400. A body has to begin with its boundary, behind an empty line at most; whatever
/// begins with the boundary at the beginning of a line is one, so a longer line is refused and not content. A part needs a
/// header with exactly one `Content-Disposition: form-data`, which has one `name` in UTF-8 that is not empty. Header lines
/// end in CR LF and have no control characters. The last boundary has to come; what stands behind it is ignored
/// (RFC 2046 5.1.1).
///
/// `Content-Transfer-Encoding` is not decoded: RFC 7578 4.7 has removed it.
///
/// # Examples
///
/// ```
/// use httpserver::{Bytes, multipart::{Event, FormLimits, Parser}};
///
/// let mut parser = Parser::new("xyz", FormLimits::default())?;
/// parser.push(Bytes::from("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\none"))?;
/// let Some(Event::Part(head)) = parser.next()? else { panic!("no part") };
/// assert_eq!(head.name(), "a");
/// let Some(Event::Data(data)) = parser.next()? else { panic!("no data") };
/// assert_eq!(data, "one");
/// assert!(parser.next()?.is_none());
/// parser.push(Bytes::from(" more\r\n--xyz--\r\n"))?;
/// let Some(Event::Data(data)) = parser.next()? else { panic!("no data") };
/// assert_eq!(data, " more");
/// assert!(matches!(parser.next()?, Some(Event::PartEnd)));
/// assert!(parser.next()?.is_none() && parser.is_end());
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    /// CR, LF, two hyphens and the boundary. A boundary has no CR in it, so nothing that begins inside of a delimiter can
    /// be another.
    delimiter: Bytes,
    finder: Finder<'static>,
    limits: FormLimits,
    state: State,
    /// What has been pushed and not looked at.
    input: Bytes,
    /// Bytes pushed in all.
    total: u64,
    parts: usize,
    /// The longest content of the part in hand, and its name for the error.
    max_part: u64,
    part: Box<str>,
}

/// What a [`Parser`] has found.
#[derive(Debug)]
pub enum Event {
    /// A part begins. Its content follows, then its end.
    Part(PartHead),
    /// A piece of the content, never empty.
    Data(Bytes),
    /// The part is complete.
    PartEnd,
}

#[derive(Debug)]
enum State {
    /// Nothing has come but so much of the first delimiter, whose line end may be missing.
    Start {
        matched: usize,
    },
    /// In the content, at whose end so much of a delimiter has come.
    Content {
        matched: usize,
        size: u64,
    },
    /// The delimiter has come behind a content: to be told.
    ContentEnd,
    /// Behind a delimiter.
    Boundary(Behind),
    /// In the header of a part: the line end in front of it, and what has come.
    Head(Vec<u8>),
    /// The last delimiter has come.
    End,
    Failed(Box<Error>),
}

/// What has come behind a delimiter.
#[derive(Clone, Copy, Debug)]
enum Behind {
    Nothing,
    Hyphen,
    /// So many spaces and tabs, which RFC 2046 5.1.1 calls padding.
    Padding(u8),
    Cr,
}

/// Header bytes that are looked at in one go: most parts have no more.
const HEAD_STEP: usize = 1024;
/// Positions within a head are kept in 16 bits.
const MOST_HEAD: usize = 32 * 1024;
const MOST_PADDING: u8 = 64;
const HEAD_END: &[u8] = b"\r\n\r\n";

impl Parser {
    /// A parser of parts that `boundary` separates; see [`boundary_of`](Parser::boundary_of).
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] when the boundary is empty, is longer than 70 bytes, or has characters that RFC 2046 5.1.1 does
    /// not allow there.
    #[inline]
    pub fn new(boundary: &str, limits: FormLimits) -> Result<Parser> {
        if !(1..=70).contains(&boundary.len()) || !boundary.bytes().all(is_boundary_byte) || boundary.ends_with(' ') {
            return Err(Error::BadRequest("malformed boundary of a form"));
        }
        let delimiter = Bytes::from(format!("\r\n--{boundary}"));
        let finder = Finder::new(&delimiter).into_owned();
        let (input, state) = (Bytes::new(), State::Start { matched: 0 });
        Ok(Parser { delimiter, finder, limits, state, input, total: 0, parts: 0, max_part: 0, part: Box::default() })
    }

    /// The boundary in a `Content-Type`, whose media type is multipart/form-data.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedMediaType`] (415) for another media type; [`Error::BadRequest`] (400) when it has no boundary, or
    /// several.
    #[inline]
    pub fn boundary_of(content_type: &[u8]) -> Result<String> {
        if !without_params(content_type).eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(Error::UnsupportedMediaType("not multipart/form-data"));
        }
        const NONE: Error = Error::BadRequest("a form without a boundary, or with several");
        let mut boundary = None;
        for param in Params::of(content_type) {
            let (name, value) = param?;
            if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
                return Err(NONE);
            }
        }
        String::from_utf8(boundary.ok_or(NONE)?.into_owned()).map_err(|_| NONE)
    }

    /// Takes in the next bytes of the body. Those that were pushed before should have been used up, until
    /// [`next`](Parser::next) returns `None`; otherwise both are copied.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] (413) beyond [`FormLimits::max_total`].
    #[inline]
    pub fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.total > self.limits.max_total {
            let error = Error::BodyTooLarge { limit: self.limits.max_total };
            return Err(self.fail(error));
        }
        self.input = match self.input.is_empty() {
            true => bytes,
            false => Bytes::from([&self.input[..], &bytes].concat()),
        };
        Ok(())
    }

    /// What comes next in the bytes that were pushed; `None` when more of them are needed, and behind the last boundary.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] (400) for everything that is malformed, and for too many parts or too long a header;
    /// [`Error::PartTooLarge`] (413) beyond [`FormLimits::max_part`] and its relatives. The first error stays: later calls repeat it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator's end means that there is no more, not that it has to come"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event>> {
        self.step().map_err(|error| self.fail(error))
    }

    /// Whether the last boundary has come. What is pushed from then on is ignored.
    #[inline]
    pub fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// To be called at the end of the body.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] when the last boundary has not come.
    #[inline]
    pub fn finish(&mut self) -> Result<()> {
        match &self.state {
            State::End => Ok(()),
            State::Failed(error) => Err(Error::clone(error)),
            _ => Err(self.fail(Error::BadRequest("a form ends before its last boundary"))),
        }
    }

    #[inline]
    fn fail(&mut self, error: Error) -> Error {
        self.input = Bytes::new();
        self.state = State::Failed(Box::new(error.clone()));
        error
    }

    #[inline]
    fn step(&mut self) -> Result<Option<Event>> {
        loop {
            let event = match &mut self.state {
                State::ContentEnd => {
                    self.state = State::Boundary(Behind::Nothing);
                    return Ok(Some(Event::PartEnd));
                }
                State::Failed(error) => return Err(Error::clone(error)),
                State::End => {
                    self.input = Bytes::new();
                    return Ok(None);
                }
                _ if self.input.is_empty() => {
                    // Also without a byte it keeps its memory, which may be received into again.
                    self.input = Bytes::new();
                    return Ok(None);
                }
                State::Start { matched } => {
                    let matched = *matched;
                    self.start(matched)?;
                    None
                }
                State::Boundary(behind) => {
                    let behind = *behind;
                    self.boundary(behind)?;
                    None
                }
                State::Head(_) => self.head()?,
                State::Content { matched, size } => {
                    let (matched, size) = (*matched, *size);
                    self.content(matched, size)?
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// One byte of the first delimiter. Nothing may stand in front of it.
    #[inline]
    fn start(&mut self, matched: usize) -> Result<()> {
        let byte = self.input.get_u8();
        // The line end of the first delimiter is that of the request's head, mostly.
        let matched = if matched == 0 && byte == b'-' { 2 } else { matched };
        if self.delimiter[matched] != byte {
            return Err(Error::BadRequest("a form does not begin with its boundary"));
        }
        self.state = match matched + 1 == self.delimiter.len() {
            true => State::Boundary(Behind::Nothing),
            false => State::Start { matched: matched + 1 },
        };
        Ok(())
    }

    /// One byte behind a delimiter.
    #[inline]
    fn boundary(&mut self, behind: Behind) -> Result<()> {
        let behind = match (behind, self.input.get_u8()) {
            (Behind::Nothing, b'-') => Behind::Hyphen,
            (Behind::Hyphen, b'-') => {
                self.state = State::End;
                return Ok(());
            }
            (Behind::Nothing, b' ' | b'\t') => Behind::Padding(1),
            (Behind::Padding(count), b' ' | b'\t') if count < MOST_PADDING => Behind::Padding(count + 1),
            (Behind::Nothing | Behind::Padding(_), b'\r') => Behind::Cr,
            (Behind::Cr, b'\n') => return self.begin_head(),
            _ => return Err(Error::BadRequest("malformed boundary between parts")),
        };
        self.state = State::Boundary(behind);
        Ok(())
    }

    #[inline]
    fn begin_head(&mut self) -> Result<()> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(Error::BadRequest("a form with too many parts"));
        }
        // An empty header ends at once: its empty line follows the boundary.
        self.state = State::Head(b"\r\n".to_vec());
        Ok(())
    }

    #[inline]
    fn head(&mut self) -> Result<Option<Event>> {
        let State::Head(head) = &mut self.state else { return Ok(None) };
        let most = self.limits.max_part_head.min(MOST_HEAD).saturating_add(2 + HEAD_END.len());
        let before = head.len();
        let taken = self.input.len().min(HEAD_STEP).min(most - before);
        head.extend_from_slice(&self.input[..taken]);
        // Three bytes of the end may have been there before.
        let from = before.saturating_sub(HEAD_END.len() - 1);
        let Some(found) = memmem::find(&head[from..], HEAD_END) else {
            if head.len() == most {
                return Err(Error::BadRequest("the header of a part is too long"));
            }
            self.input.advance(taken);
            return Ok(None);
        };
        let end = from + found;
        self.input.advance(end + HEAD_END.len() - before);
        // Of an empty header, the line end in front is a part of its end.
        let part = PartHead::parse(head.get(2..end).unwrap_or_default())?;
        let of_its_kind = if part.file_name().is_some() { self.limits.max_file } else { self.limits.max_field };
        self.max_part = self.limits.max_part.min(of_its_kind);
        self.part = part.name().into();
        self.state = State::Content { matched: 0, size: 0 };
        Ok(Some(Event::Part(part)))
    }

    #[inline]
    fn content(&mut self, matched: usize, size: u64) -> Result<Option<Event>> {
        if matched > 0 {
            return self.go_on_matching(matched, size);
        }
        let data = match self.find_delimiter() {
            Some(at) => {
                let data = self.input.split_to(at);
                self.input.advance(self.delimiter.len());
                self.state = State::ContentEnd;
                data
            }
            None => {
                let matched = matched_at_end(&self.input, &self.delimiter);
                let data = self.input.split_to(self.input.len() - matched);
                self.input.clear();
                self.state = State::Content { matched, size };
                data
            }
        };
        self.count(data, size)
    }

    /// Where the next delimiter begins. Many contents have no CR at all, and one byte is found in half the time; from the
    /// first one on the whole delimiter is looked for, of which the rarest bytes are.
    #[inline]
    fn find_delimiter(&self) -> Option<usize> {
        let from = memchr::memchr(b'\r', &self.input)?;
        self.finder.find(&self.input[from..]).map(|found| from + found)
    }

    /// Goes on with a delimiter that began in an earlier piece, if it is one.
    #[inline]
    fn go_on_matching(&mut self, matched: usize, size: u64) -> Result<Option<Event>> {
        let missing = &self.delimiter[matched..];
        let same = missing.iter().zip(&self.input).take_while(|(a, b)| a == b).count();
        if same == missing.len() {
            self.input.advance(same);
            self.state = State::ContentEnd;
            return Ok(None);
        }
        if same == self.input.len() {
            self.input.clear();
            self.state = State::Content { matched: matched + same, size };
            return Ok(None);
        }
        // None of the bytes held back begins another delimiter, and none of those just compared does.
        self.state = State::Content { matched: 0, size };
        self.count(self.delimiter.slice(..matched), size)
    }

    /// Counts `data` against the limit of its part, of which `size` bytes have come before.
    #[inline]
    fn count(&mut self, data: Bytes, size: u64) -> Result<Option<Event>> {
        let size = size + data.len() as u64;
        if size > self.max_part {
            return Err(Error::part_too_large(&self.part, self.max_part));
        }
        if let State::Content { size: counted, .. } = &mut self.state {
            *counted = size;
        }
        Ok((!data.is_empty()).then_some(Event::Data(data)))
    }
}

/// How many bytes at the end of `text` are the beginning of `delimiter`, which is not in it.
#[inline]
fn matched_at_end(text: &[u8], delimiter: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(delimiter.len() - 1)..];
    // A delimiter has one CR, its first byte: only the last one can begin it.
    match memchr::memrchr(b'\r', tail) {
        Some(at) if delimiter.starts_with(&tail[at..]) => tail.len() - at,
        _ => 0,
    }
}

/// A `bchars` of RFC 2046 5.1.1.
#[inline]
fn is_boundary_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b)
}
