//! The header lines that decide about a request: those of every message, and Host and Expect.
//!
//! All other lines are for the service, and only their positions are kept. Their length and first letter rule most of
//! them out before any name is compared.

use std::cell::Cell;

use super::{
    authority::is_authority,
    framing::{BodyFraming, FramingHeaders, is_name, word},
    refusal::bad,
    request_head::Expect,
};
use crate::{Error, headers::is_same_name, span::Span};

/// What the header lines say about a request, gathered line by line.
#[derive(Default)]
pub(super) struct RequestHeaders {
    /// Where the value of Host lies, once it has been checked; empty before.
    host: Span,
    /// The first Expect, or `Other` if any of them is.
    expect: Option<Expect>,
    framing: FramingHeaders,
    /// Whether any line but Host and `Connection: keep-alive` may have said something.
    says_more: bool,
}

/// What the header lines of a request come to together.
pub(super) struct Outcome {
    /// How the body is framed. Without a word about it there is none (RFC 9112 6.3, 7).
    pub(super) body: BodyFraming,
    /// The host asked for, empty if there is none (HTTP/1.0).
    pub(super) host: Span,
    /// As [`FramingHeaders::keep_alive`].
    pub(super) keep_alive: bool,
    /// What the client waits for.
    pub(super) expect: Expect,
    /// As [`FramingHeaders::upgrade`].
    pub(super) upgrade: bool,
}

impl RequestHeaders {
    /// Takes in one line; `span` is where its value lies.
    ///
    /// # Errors
    ///
    /// 400 for a line that is malformed or may not be repeated.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
        match name.len() {
            // What most requests have is settled here, without a call.
            4 if is_name(name, b"host") => {
                if self.host.is_empty() && is_last_host(value) {
                    self.host = span;
                    return Ok(());
                }
                self.note_host(value, span)
            }
            10 if is_name(name, b"connection") && is_name(value, b"keep-alive") => {
                self.framing.note_keep_alive();
                Ok(())
            }
            6 | 7 | 10 | 14 | 17 => match (name.first(), name.len()) {
                (Some(b'e' | b'E'), 6)
                | (Some(b'u' | b'U'), 7)
                | (Some(b'c' | b'C'), 10 | 14)
                | (Some(b't' | b'T'), 17) => self.note_known(name, value),
                _ => Ok(()),
            },
            // Most lines say nothing about the message. Their length alone tells it.
            _ => Ok(()),
        }
    }

    /// [`note`](Self::note) for a name that may be one of those that count, or just begin alike.
    #[inline(never)]
    fn note_known(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        self.says_more = true;
        if is_name(name, b"expect") {
            self.note_expect(value);
            return Ok(());
        }
        self.framing.note(name, value)
    }

    /// A request has one host (RFC 9112 3.2). Two lines, or one that is no host, would be routed by one server and refused
    /// or routed elsewhere by the next.
    #[cold]
    fn note_host(&mut self, value: &[u8], span: Span) -> Result<(), Error> {
        if !self.host.is_empty() {
            return Err(bad("more than one Host"));
        }
        // RFC 9112 3.2 has an empty one sent where the URI has no authority. An http URI always has one (RFC 9110 4.2.1).
        if value.is_empty() {
            return Err(bad("empty Host"));
        }
        if !is_host(value) {
            return Err(bad("malformed Host"));
        }
        self.host = span;
        Ok(())
    }

    /// RFC 9110 10.1.1 permits to refuse an expectation that is not known. It is, whatever stands beside it: a client
    /// that relies on one is told that it is not met.
    fn note_expect(&mut self, value: &[u8]) {
        let expect = if is_same_name(value, b"100-continue") { Expect::Continue } else { Expect::Other };
        if self.expect != Some(Expect::Other) {
            self.expect = Some(expect);
        }
    }

    /// What the lines come to. The host is `authority`, that of the target, unless it is empty (RFC 9112 3.2.2); the Host
    /// line has to be there even then.
    ///
    /// # Errors
    ///
    /// As [`FramingHeaders::body`], and 400 without a Host line in HTTP/1.1.
    #[inline(always)]
    pub(super) fn outcome(&self, is_http11: bool, authority: Span, max_body: u64) -> Result<Outcome, Error> {
        if self.says_more || self.host.is_empty() {
            return self.rare_outcome(is_http11, authority, max_body);
        }
        Ok(Outcome {
            body: BodyFraming::None,
            host: if authority.is_empty() { self.host } else { authority },
            keep_alive: self.framing.keep_alive(is_http11),
            expect: Expect::None,
            upgrade: false,
        })
    }

    #[inline(never)]
    fn rare_outcome(&self, is_http11: bool, authority: Span, max_body: u64) -> Result<Outcome, Error> {
        let body = self.framing.body(is_http11, max_body)?.unwrap_or(BodyFraming::None);
        if self.host.is_empty() && is_http11 {
            return Err(bad("Host missing"));
        }
        Ok(Outcome {
            body,
            host: if authority.is_empty() { self.host } else { authority },
            keep_alive: self.framing.keep_alive(is_http11),
            // `100-continue` in HTTP/1.0 has to be ignored (RFC 9110 10.1.1).
            expect: self.expect.filter(|&expect| is_http11 || expect == Expect::Other).unwrap_or(Expect::None),
            upgrade: self.framing.upgrade(is_http11),
        })
    }
}

thread_local! {
    /// The last Host that passed, or [`HostText::NONE`]. A server is mostly asked for under one name, and comparing costs a
    /// fifth of checking.
    static LAST_HOST: Cell<HostText> = const { Cell::new(HostText::NONE) };
}

/// A text of 8 to 32 bytes as numbers, which are compared without a loop or a call: its length, two words from its
/// beginning, and two up to its end, which may have bytes in common with the first. Below 16 bytes the inner two are 0.
#[derive(Clone, Copy, PartialEq, Eq)]
struct HostText(usize, u64, u64, u64, u64);

impl HostText {
    /// Equal to no text.
    const NONE: HostText = HostText(0, 0, 0, 0, 0);

    /// `None` for a text that is shorter or longer. A longer name is checked every time, so that nobody can make the thread
    /// keep much.
    #[inline(always)]
    fn of(text: &[u8]) -> Option<Self> {
        let len = text.len();
        let word = |at| word(text, at);
        Some(match len {
            8..16 => HostText(len, word(0)?, 0, 0, word(len - 8)?),
            16..=32 => HostText(len, word(0)?, word(8)?, word(len - 16)?, word(len - 8)?),
            _ => return None,
        })
    }
}

/// Whether `value` is the last Host that passed, byte by byte, letter case included: another spelling of the same name is
/// only checked once more.
#[inline(always)]
fn is_last_host(value: &[u8]) -> bool {
    HostText::of(value).is_some_and(|text| text == LAST_HOST.get())
}

/// Whether `value`, which is not empty, names a host by its grammar; it is kept if it does.
fn is_host(value: &[u8]) -> bool {
    let is_host = is_authority(value);
    if let (true, Some(text)) = (is_host, HostText::of(value)) {
        LAST_HOST.set(text);
    }
    is_host
}
