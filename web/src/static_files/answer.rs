//! A file as the answer to a request: validators, conditions, ranges, bytes.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use httpserver::{
    Body, FilePart, Method, StatusCode,
    httputil::{ByteRange, ByteRanges, format_timestamp, parse_ranges},
};

use super::{parts::Parts, version::Version};
use crate::{
    accept_encoding::Coding,
    conditions::{self, Outcome},
    error::Result,
    exchange::{Exchange, precondition_failed},
};

/// Up to this many bytes are read and held in memory.
const MOST_READ: u64 = 64 * 1024;

/// A regular file that is about to be sent.
pub(super) struct FileAnswer<'a> {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) version: Version,
    pub(super) content_type: &'a str,
    /// How the file is compressed.
    pub(super) coding: Option<Coding>,
    pub(super) cache_control: Option<&'a str>,
}

impl FileAnswer<'_> {
    /// Answers with the file, or with what the request's conditions and ranges make of it.
    ///
    /// # Errors
    ///
    /// 412 when a condition does not hold; otherwise those of reading the file.
    #[inline]
    pub(super) fn send(self, exchange: &mut Exchange) -> Result<()> {
        // A page for an error, say: conditions and ranges mean something to a 200 alone (RFC 9110, section 13.2.1).
        if exchange.status() != StatusCode::OK {
            return self.send_whole(exchange);
        }
        self.set_version(exchange)?;
        // Conditions come first: a range is a detail of an answer that is still to be given (RFC 9110, section 13.2.2).
        match exchange.evaluate_once(self.version.validators()) {
            Outcome::Proceed => {}
            Outcome::PreconditionFailed => return Err(precondition_failed()),
            Outcome::NotModified => {
                exchange.set_status(StatusCode::NOT_MODIFIED);
                return self.set_cache_control(exchange);
            }
        }
        exchange.set_header("Accept-Ranges", "bytes")?;
        match self.requested_ranges(exchange) {
            ByteRanges::Whole => self.send_whole(exchange),
            ByteRanges::Parts(parts) => self.send_parts(exchange, &parts),
            // Without the `Cache-Control`: it is not the file and must not be cached like it.
            ByteRanges::Unsatisfiable => {
                exchange.set_status(StatusCode::RANGE_NOT_SATISFIABLE);
                self.set_content_range(exchange, ByteRange::Unsatisfiable)
            }
        }
    }

    #[inline]
    fn set_version(&self, exchange: &mut Exchange) -> Result<()> {
        if let Some(date) = self.version.date() {
            exchange.set_header("Date", date)?;
        }
        exchange.set_header("ETag", &self.version.etag)?;
        exchange.set_header("Last-Modified", format_timestamp(self.version.modified))
    }

    #[inline]
    fn set_cache_control(&self, exchange: &mut Exchange) -> Result<()> {
        match self.cache_control {
            Some(value) => exchange.set_header("Cache-Control", value),
            None => Ok(()),
        }
    }

    #[inline]
    fn set_content_range(&self, exchange: &mut Exchange, range: ByteRange) -> Result<()> {
        match range.content_range(self.size) {
            Some(value) => exchange.set_header("Content-Range", value),
            None => Ok(()),
        }
    }

    /// Ranges mean something to GET alone (RFC 9110, section 14.2).
    #[inline]
    fn requested_ranges(&self, exchange: &Exchange) -> ByteRanges {
        if exchange.method() != Method::GET {
            return ByteRanges::Whole;
        }
        let mut lines = exchange.headers().get_all("range");
        // Several lines are a list of ranges with several units, which the grammar does not have.
        let (Some(ranges), None) = (lines.next(), lines.next()) else {
            return ByteRanges::Whole;
        };
        let if_range = exchange.headers().get_all("if-range");
        if !conditions::range_applies(if_range, self.version.validators(), self.version.now) {
            return ByteRanges::Whole;
        }
        match parse_ranges(ranges, self.size) {
            // A multipart body is not compressed, and what its parts are of has no place in them.
            ByteRanges::Parts(parts) if parts.len() > 1 && self.coding.is_some() => ByteRanges::Whole,
            ranges => ranges,
        }
    }

    #[inline]
    fn send_whole(self, exchange: &mut Exchange) -> Result<()> {
        let whole = 0..self.size;
        self.send_range(exchange, whole)
    }

    #[inline]
    fn send_parts(self, exchange: &mut Exchange, parts: &[Range<u64>]) -> Result<()> {
        exchange.set_status(StatusCode::PARTIAL_CONTENT);
        // One part is never wrapped up (RFC 9110, section 15.3.7.2).
        if let [part] = parts {
            self.set_content_range(exchange, ByteRange::Part { start: part.start, end: part.end })?;
            return self.send_range(exchange, part.clone());
        }
        self.set_cache_control(exchange)?;
        let parts = Parts::new(self.file, self.size, parts, self.content_type)?;
        exchange.set_header("Content-Type", parts.content_type)?;
        exchange.finish_with(parts.body)
    }

    /// The head of a range, or of the whole, and its bytes: of a short one as such, which leave with the head, and which
    /// wraps can look at; of any other as the file that it is.
    #[inline]
    fn send_range(self, exchange: &mut Exchange, range: Range<u64>) -> Result<()> {
        self.set_cache_control(exchange)?;
        exchange.set_header("Content-Type", self.content_type)?;
        if let Some(coding) = self.coding {
            exchange.set_header("Content-Encoding", coding.name())?;
        }
        let length = range.end - range.start;
        // The length without the bytes: reading the file for a HEAD would be in vain.
        if exchange.method() == Method::HEAD {
            return exchange.set_header("Content-Length", length.to_string());
        }
        if length > MOST_READ {
            return exchange.finish_with(Body::file_part(FilePart::within(self.file, self.size, range)?));
        }
        exchange.write(read(&self.file, range)?);
        Ok(())
    }
}

/// The bytes of a short range. An error when the file has become shorter than that.
#[inline]
fn read(file: &File, range: Range<u64>) -> io::Result<Vec<u8>> {
    // At most MOST_READ, by the caller.
    let mut bytes = vec![0; (range.end - range.start) as usize];
    match file.read_exact_at(&mut bytes, range.start) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(io::Error::new(error.kind(), "the file became shorter while it was sent"))
        }
        Err(error) => Err(error),
    }
}
