//! The header lines of an answer: set, added, looked for and removed.

use http::StatusCode;
use iostream::ioloop::report_failure;

use super::{ContentType, Response, mark};
use crate::{Error, Result, field_lines::check_header, headers::is_same_name};

impl Response {
    /// The value of the first line with this name, in any case; `None` if there is none or it is not UTF-8.
    ///
    /// Lines the server adds when it sends are not there yet.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the first line with this name, in any case.
    #[inline]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        let is = |other: &str| is_same_name(name.as_bytes(), other.as_bytes());
        let (uncached, value) = ContentType::UNCACHED;
        match self.content_type {
            ContentType::None => {}
            _ if is("content-type") => return self.content_type_value(),
            ContentType::UncachedJson if is(uncached) => return Some(value),
            _ => {}
        }
        self.lines.get(name)
    }

    /// All lines so far as name and value, in the order they will be sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let content_type = self.content_type_value().map(|value| ("Content-Type", value));
        let beside = (self.content_type == ContentType::UncachedJson).then_some(ContentType::UNCACHED);
        content_type.into_iter().chain(beside).chain(self.lines.iter())
    }

    /// Sets a header line, instead of all lines with this name. White space around the value is left out.
    ///
    /// `Connection: close` is the same as [`close_connection`](Response::close_connection), and `Content-Length` the
    /// same as [`set_content_length`](Response::set_content_length); otherwise those two and `Transfer-Encoding`
    /// belong to the server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] if the name is no token, the value has a control character (CR, LF and NUL among them;
    /// tab is allowed), or the line belongs to the server. The response is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Response;
    ///
    /// let mut response = Response::text("hello\n");
    /// response.set_header("Cache-Control", "max-age=60")?;
    /// response.set_header("cache-control", "no-store")?;
    /// assert_eq!(response.header("Cache-Control"), Some("no-store"));
    /// assert!(response.set_header("Transfer-Encoding", "gzip").is_err());
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_header(name, value.as_ref(), true)
    }

    /// Sets the Content-Type to a text known to the program. Unlike [`set_header`](Response::set_header) this takes no
    /// buffer and copies nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] if the value has a control character.
    pub fn set_content_type(&mut self, value: &'static str) -> Result<()> {
        check_header(b"Content-Type", value.as_bytes())?;
        if !self.is_marked(mark::REFUSED) {
            self.unfold();
            self.lines.remove(b"content-type");
            self.content_type = ContentType::Value;
            self.rare.parts().own_type = Some(value);
        }
        Ok(())
    }

    /// Adds a header line behind those there are, such as one more `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Response::set_header).
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_header(name, value.as_ref(), false)
    }

    /// Removes all lines with this name, in any case.
    ///
    /// `Connection` takes back [`close_connection`](Response::close_connection), and `Content-Length` takes back
    /// [`set_content_length`](Response::set_content_length).
    pub fn remove_header(&mut self, name: &str) {
        if self.is_marked(mark::REFUSED) {
            return;
        }
        self.unfold();
        match Special::of(name.as_bytes()) {
            Special::ContentType => self.content_type = ContentType::None,
            Special::Date => self.mark(mark::HAS_DATE, false),
            Special::Connection => self.mark(mark::CLOSES, false),
            Special::ContentLength => self.mark(mark::HAS_LENGTH, false),
            Special::None | Special::TransferEncoding => {}
        }
        self.lines.remove(name.as_bytes());
    }

    /// [`set_header`](Response::set_header) for building in one expression.
    ///
    /// A line that `set_header` refuses turns the response into a plain 500 that ignores further changes, and is
    /// logged as an error: nothing of it reaches the client.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.set_header(name, value) {
            report_failure("httpserver", format_args!("header {name:?} of a response: {error}; answering 500"));
            self = Response::text("500 Internal Server Error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR);
            self.mark(mark::REFUSED, true);
        }
        self
    }

    /// Sets or adds a line, unless it is one that is kept as a field or belongs to the server.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Response::set_header).
    fn put_header(&mut self, name: &str, value: &[u8], replaces: bool) -> Result<()> {
        // First, so that a mistake is told whatever becomes of the line.
        check_header(name.as_bytes(), value)?;
        if self.is_marked(mark::REFUSED) {
            return Ok(());
        }
        self.unfold();
        match Special::of(name.as_bytes()) {
            Special::None => {}
            Special::ContentType => self.content_type = ContentType::None,
            Special::Date => self.mark(mark::HAS_DATE, true),
            Special::Connection if is_same_name(value, b"close") => {
                self.close_connection();
                return Ok(());
            }
            Special::ContentLength => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                // `parse` takes a plus sign, which is no part of the grammar (RFC 9110 8.6).
                let is_digits = text.bytes().all(|b| b.is_ascii_digit());
                let length = text.parse().ok().filter(|_| is_digits);
                let length = length.ok_or(Error::InvalidHeader("Content-Length is no number"))?;
                self.set_content_length(length);
                return Ok(());
            }
            // Keep-alive is the encoder's to announce: it depends on the client, the request's body and a drain.
            Special::Connection => return Err(Error::InvalidHeader("Connection belongs to the server")),
            // The body is framed by the encoder. Two framings in one answer could be read in two ways.
            Special::TransferEncoding => {
                return Err(Error::InvalidHeader("Transfer-Encoding belongs to the server"));
            }
        }
        if replaces {
            self.lines.remove(name.as_bytes());
        }
        self.lines.push(name.as_bytes(), value);
        Ok(())
    }

    /// Makes a line of its own of what goes along with the type, before any of them changes.
    #[inline]
    fn unfold(&mut self) {
        if self.content_type == ContentType::UncachedJson {
            self.content_type = ContentType::Json;
            let (name, value) = ContentType::UNCACHED;
            self.lines.push(name.as_bytes(), value);
        }
    }

    /// Whether a Date was set, so that none is added.
    pub(crate) fn has_date(&self) -> bool {
        self.is_marked(mark::HAS_DATE)
    }

    /// Whether a Server line was set, so that none is added.
    #[cold]
    pub(crate) fn has_server(&self) -> bool {
        self.header_bytes("server").is_some()
    }

    pub(crate) fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The Content-Type that is not among the lines.
    pub(crate) fn content_type_value(&self) -> Option<&'static [u8]> {
        match self.content_type {
            ContentType::Value => self.rare.0.as_deref()?.own_type.map(str::as_bytes),
            usual => usual.value(),
        }
    }

    /// The lines set, each with its CRLF.
    pub(crate) fn lines(&self) -> &[u8] {
        self.lines.as_slice()
    }
}

/// The header names a response has to know about.
enum Special {
    /// Any other.
    None,
    ContentType,
    Date,
    Connection,
    ContentLength,
    TransferEncoding,
}

impl Special {
    /// What `name` is, in any case.
    fn of(name: &[u8]) -> Self {
        // The length rules out nearly every name, so at most one is compared.
        let is = |lower: &[u8]| is_same_name(name, lower);
        match name.len() {
            4 if is(b"date") => Special::Date,
            10 if is(b"connection") => Special::Connection,
            12 if is(b"content-type") => Special::ContentType,
            14 if is(b"content-length") => Special::ContentLength,
            17 if is(b"transfer-encoding") => Special::TransferEncoding,
            _ => Special::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_wire_form_in_the_order_set() {
        let mut response = Response::new(StatusCode::OK);
        response.set_header("X-A", "1").unwrap();
        response.append_header("Set-Cookie", "a=1").unwrap();
        response.append_header("set-cookie", String::from("b=2")).unwrap();
        response.set_header("x-a", b"3").unwrap();
        assert_eq!(response.lines(), b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nx-a: 3\r\n");
        response.remove_header("SET-COOKIE");
        assert_eq!(response.lines(), b"x-a: 3\r\n");
        assert_eq!(response.header("X-A"), Some("3"));
        assert_eq!(response.header("X"), None);
    }

    #[test]
    fn names_and_values_that_could_split_the_response_are_refused() {
        let mut response = Response::text("x");
        for value in ["a\r\nb", "a\rb", "a\nb", "a\0b", "\u{1b}", "\u{7f}"] {
            assert!(response.set_header("X", value).is_err(), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\n", "\u{e4}", "(a)"] {
            assert!(response.set_header(name, "v").is_err(), "{name:?}");
        }
        assert!(response.lines().is_empty());
        response.set_header("X", "tab\tand \u{e4}").unwrap();
    }

    #[test]
    fn framing_belongs_to_the_server() {
        let mut response = Response::text("x");
        assert!(response.set_header("Transfer-Encoding", "chunked").is_err());
        assert!(response.set_header("connection", "keep-alive").is_err());
        assert!(response.set_header("Content-Length", "+3").is_err());
        assert!(response.set_header("Content-Length", "").is_err());
        response.set_header("Connection", "Close").unwrap();
        response.set_header("Content-Length", "3").unwrap();
        assert!(response.closes_connection());
        assert_eq!(response.content_length(), Some(3));
        assert!(response.lines().is_empty());
    }

    #[test]
    fn a_removed_connection_line_closes_nothing() {
        let mut response = Response::text("x").with_header("Connection", "close");
        response.remove_header("connection");
        assert!(!response.closes_connection());
        response.close_connection();
        response.remove_header("Connection");
        assert!(!response.closes_connection());
    }

    #[test]
    fn the_largest_length_is_a_length() {
        let mut response = Response::new(StatusCode::OK).with_header("Content-Length", u64::MAX.to_string());
        assert_eq!(response.content_length(), Some(u64::MAX));
        response.remove_header("Content-Length");
        assert_eq!(response.content_length(), None);
        response.set_content_length(u64::MAX);
        assert_eq!(response.content_length(), Some(u64::MAX));
        assert!(response.set_header("Content-Length", "18446744073709551616").is_err());
        assert_eq!(response.content_length(), Some(u64::MAX));
    }

    #[test]
    fn an_invalid_line_in_a_builder_makes_a_500_that_stays() {
        let response = Response::text("secret")
            .with_header("X-A", "1")
            .with_header("X-B", "a\nb")
            .with_header("X-C", "1")
            .with_status(StatusCode::OK);
        let mut response = response;
        response.remove_header("Content-Type");
        response.set_content_length(7);
        assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.content_length(), None);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.body().as_bytes(), Some(&b"500 Internal Server Error\n"[..]));
        assert!(response.lines().is_empty());
    }

    #[test]
    fn a_content_type_replaces_that_of_the_body() {
        let mut response = Response::text("a,b");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        response.set_header("content-type", "text/csv").unwrap();
        let all: Vec<_> = response.headers().collect();
        assert_eq!(all, [("content-type", &b"text/csv"[..])]);
        response.set_content_type("text/x").unwrap();
        assert_eq!(response.headers().count(), 1);
        assert_eq!(response.header("Content-Type"), Some("text/x"));
        assert!(response.set_content_type("a\r\nb").is_err());
        response.remove_header("Content-Type");
        assert_eq!(response.header("content-type"), None);
    }

    #[test]
    fn a_response_without_lines_takes_no_buffer() {
        assert!(!Response::text("x").lines.has_buffer());
        let mut response = Response::default().with_header("A", "1");
        assert!(response.lines.has_buffer());
        response.remove_header("A");
        assert!(response.lines().is_empty());
    }
}
