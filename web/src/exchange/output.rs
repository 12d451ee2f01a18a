//! The response's side: status, headers, cookies, body.

use std::borrow::Cow;

use httpserver::{Response, ResponseWriter, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::content::{Content, Unsent};
use super::{Exchange, Kind, Stage};
use crate::error::{Error, Result};

/// What a `Location` may not hold as it is. `%` is left alone: most locations are encoded already. A backslash is a
/// slash to browsers, and `/\host` therefore another host.
const LOCATION: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

impl Exchange {
    /// The status that the response will have; 200 unless it was set.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Sets the response's status. Without effect once the head has been sent.
    pub fn set_status(&mut self, status: StatusCode) {
        if self.is_open() {
            self.status = status;
        }
    }

    /// Sets a header of the response, in place of all lines of that name there were.
    ///
    /// Without a `Content-Type`, what is written goes out as `text/html; charset=UTF-8`.
    ///
    /// # Errors
    ///
    /// When the name is no token or the value holds CR, LF, NUL or another control character: a header cannot be used to
    /// smuggle in another one. [`Error::HeadSent`] after the first [`flush`](Exchange::flush).
    pub fn set_header(&mut self, name: &str, value: impl AsRef<str>) -> Result<()> {
        self.check_open()?;
        self.head_mut().set_header(name, value.as_ref())?;
        self.note_type(name, true);
        Ok(())
    }

    /// Adds a header line to the response, beside those of the same name.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Exchange::set_header).
    pub fn add_header(&mut self, name: &str, value: impl AsRef<str>) -> Result<()> {
        self.check_open()?;
        self.head_mut().append_header(name, value.as_ref())?;
        self.note_type(name, true);
        Ok(())
    }

    /// Removes all lines of that name from the response. Without effect once the head has been sent.
    pub fn clear_header(&mut self, name: &str) {
        if self.is_open() {
            self.head_mut().remove_header(name);
            self.note_type(name, false);
        }
    }

    /// Adds to the response's body. Nothing is sent yet: that happens when the handler returns, or with
    /// [`flush`](Exchange::flush).
    ///
    /// Takes strings and bytes, borrowed (they are copied) or owned (they are not). After the response was finished, the
    /// text is dropped and an error logged.
    pub fn write(&mut self, content: impl Content) {
        if self.stage == Stage::Finished {
            log::error!(target: "web", "write() after the response was finished");
            return;
        }
        content.append_to(&mut self.buffer);
    }

    /// Adds plain text to the response's body, which makes it `text/plain; charset=utf-8`: a browser shows what a client
    /// sent as it is, and runs none of it.
    ///
    /// Otherwise as [`write`](Exchange::write), whose text is HTML and has to be escaped
    /// ([`xhtml_escape`](crate::xhtml_escape)). A `Content-Type` set by the handler stays, and the type of a response whose
    /// head has been sent cannot change any more.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn hello(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let name: String = exchange.path("name")?;
    ///     exchange.write_text(format!("Hello, {name}\n"));
    ///     Ok(())
    /// }
    /// ```
    pub fn write_text(&mut self, text: impl Content) {
        if self.kind == Kind::Html {
            self.kind = Kind::Text;
        }
        self.write(text);
    }

    /// Writes a value as JSON, with `Content-Type: application/json`.
    ///
    /// # Errors
    ///
    /// When the value cannot be serialised, for instance a map whose keys are not strings: 500.
    #[cfg(feature = "json")]
    pub fn write_json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let json = serde_json::to_vec(value)?;
        if self.is_open() {
            self.set_header("Content-Type", "application/json")?;
        }
        self.write(json);
        Ok(())
    }

    /// Sends what was written so far and waits until the connection has taken it: how a response is streamed.
    ///
    /// The first flush sends status and headers, which cannot change afterwards. A client of HTTP/1.1 gets a chunk per
    /// flush, unless the handler has set `Content-Length`.
    ///
    /// # Errors
    ///
    /// When the connection broke ([`Error::is_client_gone`]).
    ///
    /// # Cancel safety
    ///
    /// What was handed to the connection will be sent even if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// async fn count(x: &mut web::Exchange) -> web::Result<()> {
    ///     x.set_header("Content-Type", "text/plain")?;
    ///     for second in 1..=10 {
    ///         x.write(format!("{second}\n"));
    ///         x.flush().await?;
    ///         web::sleep(Duration::from_secs(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn flush(&mut self) -> Result<()> {
        if self.stage == Stage::Open {
            self.send_head()?;
        }
        let Some(writer) = self.extras.as_mut().and_then(|extras| extras.writer.as_mut()) else {
            // Finished before anything was sent: it leaves as a whole.
            return Ok(());
        };
        match self.buffer.take() {
            data if data.is_empty() => Ok(writer.flush().await?),
            data => Ok(writer.write(data).await?),
        }
    }

    /// Declares the response complete: nothing can be added to it. A `prepare` that calls this is the whole answer.
    ///
    /// Handlers that return have finished anyway.
    pub fn finish(&mut self) {
        self.stage = Stage::Finished;
    }

    /// Whether the response is complete, by [`finish`](Exchange::finish) or by [`redirect`](Exchange::redirect).
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Sends the client to another location, with `302 Found`, and finishes the response.
    ///
    /// Spaces and text that is not ASCII are percent-encoded. The location is otherwise sent as given: one that was made
    /// from a client's input and begins with `//` leads to another host.
    ///
    /// # Errors
    ///
    /// When the location holds control characters, and once the head has been sent.
    pub fn redirect(&mut self, location: &str) -> Result<()> {
        self.redirect_with(StatusCode::FOUND, location)
    }

    /// As [`redirect`](Exchange::redirect), with another status: 301 and 308 for good, 303 after a form, 307 to repeat the
    /// same request elsewhere.
    ///
    /// # Errors
    ///
    /// As [`redirect`](Exchange::redirect), and when the status is no redirection.
    pub fn redirect_with(&mut self, status: StatusCode, location: &str) -> Result<()> {
        self.check_open()?;
        if !status.is_redirection() {
            return Err(Error::InvalidRedirect("the status is not 3xx"));
        }
        if location.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Error::InvalidRedirect("control characters in the location"));
        }
        let location: Cow<'_, str> = utf8_percent_encode(location, LOCATION).into();
        self.set_header("location", location)?;
        self.status = status;
        self.buffer = Unsent::default();
        self.finish();
        Ok(())
    }

    /// Whether the head has been sent, so that nothing but more body can follow.
    pub fn is_head_sent(&self) -> bool {
        self.head_sent
    }

    /// Starts the response over, as the answer to an error. Cookies are kept: clearing a session's cookie and refusing the
    /// request go together.
    pub(crate) fn restart(&mut self, error: &Error) {
        self.status = error.status();
        self.head = None;
        if let Error::Http(error) = error {
            let head = Response::html("");
            self.head =
                Some(Box::new(error.headers().iter().fold(head, |head, (name, value)| head.with_header(name, value))));
        }
        self.buffer = Unsent::default();
        self.kind = Kind::Html;
        self.stage = Stage::Open;
    }

    /// Whether anything was written that is not yet sent.
    pub(crate) fn has_content(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The response as a whole. Its head must not have been sent.
    pub(crate) fn take_response(&mut self) -> Result<Response> {
        let body = self.buffer.take();
        self.finish();
        if body.is_empty() || self.head.is_some() || self.extras.is_some() {
            let mut response = self.take_head(!body.is_empty())?;
            response.set_body(body);
            if self.has_validators {
                self.apply_conditions(&mut response)?;
            }
            return Ok(response);
        }
        let response = if self.kind == Kind::Text { Response::text(body) } else { Response::html(body) };
        Ok(response.with_status(self.status))
    }

    /// Sends what is left of a response whose head has been sent, and its end.
    pub(crate) async fn end_stream(&mut self) -> Result<Response> {
        let rest = self.buffer.take();
        self.finish();
        let Some(mut writer) = self.take_writer() else {
            return Err(Error::HeadSent);
        };
        if !rest.is_empty() {
            writer.write(rest).await?;
        }
        Ok(writer.finish().await?)
    }

    /// Leaves a response unfinished, so that the connection is closed and the client can tell.
    pub(crate) fn abandon_stream(&mut self) {
        self.take_writer();
        self.finish();
    }

    fn take_writer(&mut self) -> Option<ResponseWriter> {
        self.extras.as_mut()?.writer.take()
    }

    fn send_head(&mut self) -> Result<()> {
        let mut head = self.take_head(true)?;
        if self.has_validators {
            self.apply_conditions(&mut head)?;
        }
        let writer = self.request.respond(head)?;
        self.extras().writer = Some(writer);
        self.head_sent = true;
        self.stage = Stage::Streaming;
        Ok(())
    }

    /// Status and headers, with the cookies, and without the default type if there is nothing that has a type.
    fn take_head(&mut self, with_body: bool) -> Result<Response> {
        let mut head = self.head.take().map_or_else(|| Response::html(""), |head| *head);
        head.set_status(self.status);
        let has_body = with_body && !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !has_body && self.kind != Kind::Own {
            head.remove_header("content-type");
        } else if self.kind == Kind::Text {
            head.set_content_type("text/plain; charset=utf-8")?;
        }
        #[cfg(feature = "cookies")]
        if let Some(extras) = &self.extras {
            extras.cookies.write_to(&mut head)?;
        }
        Ok(head)
    }

    /// Begins as HTML: a type costs nothing there, and a header line when it is added later.
    fn head_mut(&mut self) -> &mut Response {
        self.head.get_or_insert_with(|| Box::new(Response::html("")))
    }

    /// Keeps track of whether the handler has set a type: only the default one goes when there is no body. And of
    /// validators, without which the request's conditions need no look.
    fn note_type(&mut self, name: &str, present: bool) {
        match name.len() {
            12 if name.eq_ignore_ascii_case("content-type") => self.kind = if present { Kind::Own } else { Kind::Html },
            4 if name.eq_ignore_ascii_case("etag") => self.has_validators = true,
            13 if name.eq_ignore_ascii_case("last-modified") => self.has_validators = true,
            _ => {}
        }
    }

    fn is_open(&self) -> bool {
        !self.head_sent
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_open() { Ok(()) } else { Err(Error::HeadSent) }
    }
}
