use bytes::Bytes;

use super::{Event, FormLimits, Parser, PartHead};
use crate::{Body, Error, Headers, Request, Result};

/// The parts of a form in a body, one after the other, as they come. Nothing is held but a header and what arrived in one
/// piece, and the client is read from only while a part is waited for.
///
/// Made by [`Request::multipart`].
#[derive(Debug)]
pub struct Multipart {
    body: Body,
    parser: Parser,
}

/// One part of a form: a field or a file. Content that is not read is skipped by the next
/// [`next_part`](Multipart::next_part).
#[derive(Debug)]
pub struct Part<'m> {
    head: PartHead,
    multipart: &'m mut Multipart,
    is_end: bool,
}

impl Request {
    /// Takes the body out of the request as a form of multipart/form-data, with the default [`FormLimits`].
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedMediaType`] (415) when the body is something else, or has a `Content-Encoding`;
    /// [`Error::BadRequest`] (400) when the `Content-Type` has no valid boundary. The body stays in the request then.
    #[inline]
    pub fn multipart(&mut self) -> Result<Multipart> {
        self.multipart_limited(FormLimits::default())
    }

    /// [`multipart`](Request::multipart) with other limits.
    ///
    /// # Errors
    ///
    /// As [`multipart`](Request::multipart).
    #[inline]
    pub fn multipart_limited(&mut self, limits: FormLimits) -> Result<Multipart> {
        let content_type = self.headers().get_bytes("content-type").unwrap_or_default();
        let boundary = Parser::boundary_of(content_type)?;
        self.check_not_encoded()?;
        let parser = Parser::new(&boundary, limits)?;
        Ok(Multipart { body: self.take_body(), parser })
    }
}

impl Multipart {
    /// The parts in `body` that `boundary` separates.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a malformed boundary.
    #[inline]
    pub fn new(body: Body, boundary: &str, limits: FormLimits) -> Result<Multipart> {
        Ok(Multipart { body, parser: Parser::new(boundary, limits)? })
    }

    /// The next part; `None` behind the last one, when the body has been read to its end.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] (400), [`Error::PartTooLarge`] and [`Error::BodyTooLarge`] (413) as [`Parser`], and those of
    /// [`Body::chunk`]. The first one stays.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing but content that was to be skipped.
    #[inline]
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        loop {
            match self.next_event().await? {
                Some(Event::Part(head)) => return Ok(Some(Part { head, multipart: self, is_end: false })),
                // What was not read of the part before.
                Some(Event::Data(_) | Event::PartEnd) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next event; `None` at the end of the body, behind the last boundary.
    #[inline]
    pub(super) async fn next_event(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.parser.next()? {
                return Ok(Some(event));
            }
            match self.body.chunk().await? {
                Some(chunk) => self.parser.push(chunk)?,
                None => {
                    self.parser.finish()?;
                    return Ok(None);
                }
            }
        }
    }
}

impl Part<'_> {
    /// The name of the form's field, never empty.
    #[inline]
    pub fn name(&self) -> &str {
        self.head.name()
    }

    /// The name of the file; see [`PartHead::file_name`].
    #[inline]
    pub fn file_name(&self) -> Option<&str> {
        self.head.file_name()
    }

    /// The value of the part's `Content-Type`; see [`PartHead::content_type`].
    #[inline]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// The header lines of the part.
    #[inline]
    pub fn headers(&self) -> &Headers {
        self.head.headers()
    }

    /// The next piece of the content; `None` at its end. Its size says nothing about the content.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next_part`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    #[inline]
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if self.is_end {
            return Ok(None);
        }
        match self.multipart.next_event().await? {
            Some(Event::Data(data)) => Ok(Some(data)),
            // A part begins behind the end of the one before, and the form does not end in the middle of one.
            Some(Event::PartEnd | Event::Part(_)) | None => {
                self.is_end = true;
                Ok(None)
            }
        }
    }

    /// The rest of the content, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::PartTooLarge`] (413) when it is longer; otherwise as [`Multipart::next_part`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    #[inline]
    pub async fn bytes(&mut self, max: usize) -> Result<Bytes> {
        let mut collected = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            // Collected never has more than `max`, so this cannot wrap.
            if chunk.len() > max - collected.len() {
                return Err(Error::part_too_large(self.name(), max as u64));
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(collected))
    }

    /// The rest of the content as text, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] (400) when it is not UTF-8; otherwise as [`bytes`](Part::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Part::bytes).
    #[inline]
    pub async fn text(&mut self, max: usize) -> Result<String> {
        let bytes = self.bytes(max).await?;
        String::from_utf8(bytes.into()).map_err(|_| Error::InvalidArgument { name: self.name().into() })
    }
}
