//! The header lines that decide about a request: those of every message, and Host and Expect.
//!
//! All other lines are for the service, and only their positions are kept. Their length and first letter rule most of
//! them out before any name is compared.

use std::cell::RefCell;

use super::{
    authority::is_authority,
    framing::{BodyFraming, FramingHeaders, is_name},
    refusal::bad,
    request_head::Expect,
};
use crate::{Error, span::Span};

/// What the header lines say about a request, gathered line by line.
#[derive(Default)]
pub(super) struct RequestHeaders {
    /// Where the value of Host lies, once it has been checked.
    host: Option<Span>,
    /// The first Expect, or `Other` if any of them is.
    expect: Option<Expect>,
    framing: FramingHeaders,
}

impl RequestHeaders {
    /// Takes in one line; `span` is where its value lies.
    ///
    /// # Errors
    ///
    /// 400 for a line that is malformed or may not be repeated.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
        // Most lines say nothing about the message. They are told by two bytes, without a call.
        match (name.len(), name.first()) {
            (4, Some(b'h' | b'H'))
            | (6, Some(b'e' | b'E'))
            | (7, Some(b'u' | b'U'))
            | (10 | 14, Some(b'c' | b'C'))
            | (17, Some(b't' | b'T')) => self.note_known(name, value, span),
            _ => Ok(()),
        }
    }

    /// [`note`](Self::note) for a name that may be one of those that count, or just begin alike.
    fn note_known(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
        match name.len() {
            4 if is_name(name, b"host") => self.note_host(value, span),
            6 if is_name(name, b"expect") => {
                self.note_expect(value);
                Ok(())
            }
            _ => self.framing.note(name, value),
        }
    }

    /// A request has one host (RFC 9112 3.2). Two lines, or one that is no host, would be routed by one server and refused
    /// or routed elsewhere by the next.
    #[inline]
    fn note_host(&mut self, value: &[u8], span: Span) -> Result<(), Error> {
        if self.host.replace(span).is_some() {
            return Err(bad("more than one Host"));
        }
        // RFC 9112 3.2 has an empty one sent where the URI has no authority. An http URI always has one (RFC 9110 4.2.1).
        if value.is_empty() {
            return Err(bad("empty Host"));
        }
        if !is_host(value) {
            return Err(bad("malformed Host"));
        }
        Ok(())
    }

    /// RFC 9110 10.1.1 permits to refuse an expectation that is not known. It is, whatever stands beside it: a client
    /// that relies on one is told that it is not met.
    fn note_expect(&mut self, value: &[u8]) {
        let expect = if value.eq_ignore_ascii_case(b"100-continue") { Expect::Continue } else { Expect::Other };
        if self.expect != Some(Expect::Other) {
            self.expect = Some(expect);
        }
    }

    /// How the body is framed. Without a word about it there is none (RFC 9112 6.3, 7).
    ///
    /// # Errors
    ///
    /// As [`FramingHeaders::body`].
    #[inline]
    pub(super) fn body(&self, is_http11: bool, max_body: u64) -> Result<BodyFraming, Error> {
        self.framing.body(is_http11, max_body).map(|body| body.unwrap_or(BodyFraming::None))
    }

    /// The host asked for: that of the target, if it names one (RFC 9112 3.2.2). The Host line has to be there even then.
    ///
    /// # Errors
    ///
    /// 400 without a Host line in HTTP/1.1.
    #[inline]
    pub(super) fn host(&self, is_http11: bool, authority: Option<Span>) -> Result<Option<Span>, Error> {
        if self.host.is_none() && is_http11 {
            return Err(bad("Host missing"));
        }
        Ok(authority.or(self.host))
    }

    /// As [`FramingHeaders::keep_alive`].
    #[inline]
    pub(super) fn keep_alive(&self, is_http11: bool) -> bool {
        self.framing.keep_alive(is_http11)
    }

    /// As [`FramingHeaders::upgrade`].
    #[inline]
    pub(super) fn upgrade(&self, is_http11: bool) -> bool {
        self.framing.upgrade(is_http11)
    }

    /// What the client waits for. `100-continue` in HTTP/1.0 has to be ignored (RFC 9110 10.1.1).
    #[inline]
    pub(super) fn expect(&self, is_http11: bool) -> Expect {
        match self.expect {
            Some(Expect::Continue) if !is_http11 => Expect::None,
            Some(expect) => expect,
            None => Expect::None,
        }
    }
}

thread_local! {
    /// The last Host that passed. A server is mostly asked for under one name, and comparing costs a fifth of checking.
    static LAST_HOST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A longer name is checked every time, so that nobody can make the thread keep much.
const LONGEST_KEPT_HOST: usize = 64;

/// Whether `value`, which is not empty, names a host.
#[inline]
fn is_host(value: &[u8]) -> bool {
    // Byte by byte, letter case included: another spelling of the same name is only checked once more. While the thread
    // ends there may be nothing to compare with any more.
    let is_host = LAST_HOST.try_with(|last| *last.borrow() == value || check_host(value, last));
    is_host.unwrap_or_else(|_| is_authority(value))
}

/// Checks a Host by its grammar, and keeps it in `last` if it passes.
fn check_host(value: &[u8], last: &RefCell<Vec<u8>>) -> bool {
    let is_host = is_authority(value);
    if is_host && value.len() <= LONGEST_KEPT_HOST {
        let mut last = last.borrow_mut();
        // Its memory is used again, so that clients that ask for different hosts in turn allocate nothing.
        last.clear();
        last.extend_from_slice(value);
    }
    is_host
}
