//! The header lines that decide about the message: framing, connection, host and expectation.
//!
//! Whatever another server could read differently is refused here, so that no request can be smuggled past one of them.

use std::cell::RefCell;

use super::head::bad;
use super::target::{self, Span};
use crate::error::Error;
use crate::headers::{is_token_byte, list_items, trim_ows};
use crate::limits::Limits;

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// Content-Length, which may be 0.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// The Expect header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Absent, or `100-continue` in HTTP/1.0, where it has to be ignored (RFC 9110 10.1.1).
    None,
    /// `100-continue`.
    Continue,
    /// Anything else: to be answered 417.
    Other,
}

/// What the header lines say about the message, gathered line by line.
#[derive(Default)]
pub(super) struct Facts {
    host: Option<Span>,
    content_length: Option<u64>,
    transfer_encoding: Option<TransferEncoding>,
    expect: Option<Expect>,
    asks_close: bool,
    asks_keep_alive: bool,
    asks_upgrade: bool,
    has_upgrade: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TransferEncoding {
    Chunked,
    /// Codings we do not have, with a final chunked: understood, but not implemented.
    Unknown,
}

impl Facts {
    /// Takes in one line; `span` is where its value lies.
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

    fn note_known(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
        match name.len() {
            4 if is_name(name, b"host") => self.note_host(value, span),
            6 if is_name(name, b"expect") => {
                self.note_expect(value);
                Ok(())
            }
            7 if is_name(name, b"upgrade") => {
                self.has_upgrade = true;
                Ok(())
            }
            10 if is_name(name, b"connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if is_name(name, b"content-length") => self.note_content_length(value),
            17 if is_name(name, b"transfer-encoding") => self.note_transfer_encoding(value),
            _ => Ok(()),
        }
    }

    #[inline]
    fn note_host(&mut self, value: &[u8], span: Span) -> Result<(), Error> {
        if self.host.replace(span).is_some() {
            return Err(bad("more than one Host"));
        }
        if !value.is_empty() && !is_host(value) {
            return Err(bad("malformed Host"));
        }
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8]) {
        let expect = if value.eq_ignore_ascii_case(b"100-continue") { Expect::Continue } else { Expect::Other };
        if self.expect != Some(Expect::Other) {
            self.expect = Some(expect);
        }
    }

    #[inline]
    fn note_connection(&mut self, value: &[u8]) {
        if is_name(value, b"keep-alive") {
            self.asks_keep_alive = true;
            return;
        }
        for item in list_items(value) {
            self.asks_close |= item.eq_ignore_ascii_case(b"close");
            self.asks_keep_alive |= item.eq_ignore_ascii_case(b"keep-alive");
            self.asks_upgrade |= item.eq_ignore_ascii_case(b"upgrade");
        }
    }

    /// Stricter than RFC 9110 8.6, which lets equal values be repeated: whoever sends them is broken or tries to be
    /// read differently by two servers.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        let Some(length) = parse_digits(value) else {
            return Err(bad("malformed Content-Length"));
        };
        if self.content_length.replace(length).is_some() {
            return Err(bad("more than one Content-Length"));
        }
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.transfer_encoding.is_some() {
            return Err(bad("more than one Transfer-Encoding"));
        }
        self.transfer_encoding = Some(if value.eq_ignore_ascii_case(b"chunked") {
            TransferEncoding::Chunked
        } else {
            check_unknown_codings(value)?;
            TransferEncoding::Unknown
        });
        Ok(())
    }

    #[inline]
    pub(super) fn body(&self, is_http11: bool, limits: &Limits) -> Result<BodyFraming, Error> {
        let Some(coding) = self.transfer_encoding else {
            return match self.content_length {
                None => Ok(BodyFraming::None),
                Some(length) if length <= limits.max_body => Ok(BodyFraming::Length(length)),
                Some(_) => Err(Error::BodyTooLarge { limit: limits.max_body }),
            };
        };
        if self.content_length.is_some() {
            return Err(bad("both Content-Length and Transfer-Encoding"));
        }
        if !is_http11 {
            return Err(bad("Transfer-Encoding in HTTP/1.0"));
        }
        match coding {
            TransferEncoding::Chunked => Ok(BodyFraming::Chunked),
            TransferEncoding::Unknown => Err(Error::NotImplemented("transfer coding")),
        }
    }

    #[inline]
    pub(super) fn host(&self, is_http11: bool, authority: Option<Span>) -> Result<Option<Span>, Error> {
        if self.host.is_none() && is_http11 {
            return Err(bad("Host missing"));
        }
        Ok(authority.or(self.host))
    }

    #[inline]
    pub(super) fn keep_alive(&self, is_http11: bool) -> bool {
        !self.asks_close && (is_http11 || self.asks_keep_alive)
    }

    #[inline]
    pub(super) fn upgrade(&self, is_http11: bool) -> bool {
        is_http11 && self.has_upgrade && self.asks_upgrade
    }

    #[inline]
    pub(super) fn expect(&self, is_http11: bool) -> Expect {
        match self.expect {
            Some(Expect::Continue) if !is_http11 => Expect::None,
            Some(expect) => expect,
            None => Expect::None,
        }
    }
}

/// Accepts a list of tokens that ends in the only `chunked`; the one value `chunked` alone was handled before.
///
/// Empty items and parameters, which the list grammar would allow, are refused: nobody sends them in good faith.
#[cold]
fn check_unknown_codings(value: &[u8]) -> Result<(), Error> {
    let mut is_chunked = false;
    for item in value.split(|&b| b == b',').map(trim_ows) {
        if item.is_empty() || !item.iter().copied().all(is_token_byte) {
            return Err(bad("malformed Transfer-Encoding"));
        }
        if is_chunked {
            return Err(bad("Transfer-Encoding: chunked is not last or comes twice"));
        }
        is_chunked = item.eq_ignore_ascii_case(b"chunked");
    }
    if is_chunked { Ok(()) } else { Err(bad("Transfer-Encoding without chunked")) }
}

/// Digits only; `None` also on overflow.
fn parse_digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Whether `name`, a token, is `lower` in any case. Setting bit 5 maps no other token character onto one of `lower`,
/// and comparing a fixed length without branches compiles to a few vector instructions.
#[inline]
fn is_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Some(name) = name.first_chunk::<N>().filter(|_| name.len() == N) else {
        return false;
    };
    let mut difference = 0;
    for i in 0..N {
        difference |= (name[i] | 0x20) ^ lower[i];
    }
    difference == 0
}

thread_local! {
    /// The last Host that passed. A server is mostly asked for under one name, and comparing costs a fifth of checking.
    static LAST_HOST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A longer name is checked every time, so that nobody can make the thread keep much.
const LONGEST_KEPT_HOST: usize = 64;

#[inline]
fn is_host(value: &[u8]) -> bool {
    // While the thread ends there may be nothing to compare with any more.
    let is_host = LAST_HOST.try_with(|last| *last.borrow() == value || check_host(value, last));
    is_host.unwrap_or_else(|_| target::is_authority(value))
}

fn check_host(value: &[u8], last: &RefCell<Vec<u8>>) -> bool {
    let is_host = target::is_authority(value);
    if is_host && value.len() <= LONGEST_KEPT_HOST {
        let mut last = last.borrow_mut();
        last.clear();
        last.extend_from_slice(value);
    }
    is_host
}
