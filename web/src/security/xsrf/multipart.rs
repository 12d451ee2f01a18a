//! A field of a multipart form, without taking the form from the handler.

use httpserver::{
    Bytes,
    multipart::{Event, FormLimits, Parser},
};

use crate::{error::Result, exchange::Exchange};

/// How much of a form is read ahead, in bytes.
const WINDOW: usize = 64 * 1024;

/// More than a token has.
const MOST_TEXT: usize = 1024;

impl Exchange {
    /// The text of the field `name`, if the body is a multipart form and the field is complete within its first 64 KiB. The
    /// form stays where it was.
    #[inline]
    pub(super) async fn field_of_multipart(&mut self, name: &str) -> Result<Option<String>> {
        let content_type = self.headers().get_bytes("content-type").unwrap_or_default();
        // A form with a content coding is not read here, and its handler refuses it.
        let Ok(boundary) = Parser::boundary_of(content_type) else { return Ok(None) };
        let mut field = Field::new(&boundary, name)?;
        let mut body = self.take_request_body();
        if let Some(bytes) = body.share_bytes() {
            self.put_request_body(body);
            field.push(bytes)?;
            return Ok(field.text());
        }
        // The handler may raise it, but not before it runs. What is read ahead has a bound of its own.
        let limit = body.current_limit();
        if limit.is_some() {
            body.set_limit(u64::MAX);
        }
        let mut ahead = Vec::new();
        while !field.is_done()
            && ahead.len() < WINDOW
            && let Some(chunk) = body.chunk().await?
        {
            ahead.extend_from_slice(&chunk);
            field.push(chunk)?;
        }
        // The body itself, for the limits and time-outs that the handler sets.
        body.put_back(Bytes::from(ahead));
        if let Some(limit) = limit {
            body.set_limit(limit);
        }
        self.put_request_body(body);
        Ok(field.text())
    }
}

/// A field that is being looked for.
struct Field<'a> {
    parser: Parser,
    name: &'a str,
    /// Whether its part has begun, and what has come of it.
    text: Option<Vec<u8>>,
    is_complete: bool,
}

impl<'a> Field<'a> {
    #[inline]
    fn new(boundary: &str, name: &'a str) -> Result<Field<'a>> {
        // The handler's own limits come later. These are only for what is read ahead.
        let parser = Parser::new(boundary, FormLimits::default().max_parts(1000))?;
        Ok(Field { parser, name, text: None, is_complete: false })
    }

    #[inline]
    fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.parser.push(bytes)?;
        while !self.is_complete
            && let Some(event) = self.parser.next()?
        {
            match (event, &mut self.text) {
                (Event::Part(head), _) if head.name() == self.name && head.file_name().is_none() => {
                    self.text = Some(Vec::new());
                }
                (Event::Data(data), Some(text)) if text.len() + data.len() <= MOST_TEXT => {
                    text.extend_from_slice(&data)
                }
                // No token is so long.
                (Event::Data(_), Some(text)) => text.clear(),
                (Event::PartEnd, Some(_)) => self.is_complete = true,
                (Event::Part(_) | Event::Data(_) | Event::PartEnd, _) => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.is_complete || self.parser.is_end()
    }

    #[inline]
    fn text(self) -> Option<String> {
        let text = self.text.filter(|text| self.is_complete && !text.is_empty())?;
        String::from_utf8(text).ok()
    }
}
