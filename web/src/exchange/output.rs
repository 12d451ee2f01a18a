//! The response's side: status, headers, cookies, body.

#[cfg(feature = "json")]
use httpserver::BodyBuffer;
use httpserver::{Body, BodyWriter, Bytes, Response, StatusCode, iostream::ioloop::report_failure};

use super::{
    Exchange, Kind, ResponseHook, Stage,
    content::{Content, Unsent},
    trailers,
};
use crate::{
    disposition::content_disposition,
    early::{self, Early, Rest},
    error::{Error, Result},
};

impl Exchange {
    /// The status that the response will have; 200 unless it was set.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Sets the response's status. Once the response is finished or its head has been sent, this changes nothing, and an
    /// error is logged.
    pub fn set_status(&mut self, status: StatusCode) {
        match self.check_open() {
            Ok(()) => self.status = status,
            Err(error) => report_failure("web", format_args!("set_status({}): {error}", status.as_u16())),
        }
    }

    /// Sets a header of the response, in place of all lines of that name there were.
    ///
    /// Without a `Content-Type`, what is written goes out as `text/html; charset=utf-8`.
    ///
    /// # Errors
    ///
    /// When the name is no token or the value holds CR, LF, NUL or another control character: a header cannot be used to
    /// smuggle in another one. [`Error::HeadSent`] after the first [`flush`](Exchange::flush), and [`Error::Finished`]
    /// after [`finish`](Exchange::finish) or [`redirect`](Exchange::redirect).
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
    pub fn append_header(&mut self, name: &str, value: impl AsRef<str>) -> Result<()> {
        self.check_open()?;
        self.head_mut().append_header(name, value.as_ref())?;
        self.note_type(name, true);
        Ok(())
    }

    /// Removes all lines of that name from the response. Once the response is finished or its head has been sent, this
    /// changes nothing, and an error is logged.
    #[inline]
    pub fn remove_header(&mut self, name: &str) {
        match self.check_open() {
            Ok(()) => {
                self.head_mut().remove_header(name);
                self.note_type(name, false);
            }
            Err(error) => report_failure("web", format_args!("remove_header({name:?}): {error}")),
        }
    }

    /// Adds to the response's body. Nothing is sent yet: that happens when the handler returns, or with
    /// [`flush`](Exchange::flush).
    ///
    /// Takes strings and bytes, borrowed (they are copied) or owned (they are not). After the response was finished, the
    /// text is dropped and an error logged.
    pub fn write(&mut self, content: impl Content) {
        if self.can_be_added_to() {
            content.append_to(&mut self.buffer);
        }
    }

    #[cfg(feature = "json")]
    #[inline]
    fn write_buffer(&mut self, buffer: BodyBuffer) {
        match &mut self.buffer {
            Unsent::Gathered(empty) if empty.is_empty() && self.stage != Stage::Finished => *empty = buffer,
            _ => self.write(buffer.as_slice()),
        }
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
        if !self.can_be_added_to() {
            return;
        }
        if self.kind == Kind::Html {
            self.kind = Kind::Text;
        }
        text.append_to(&mut self.buffer);
    }

    /// Writes a value as JSON, with `Content-Type: application/json`.
    ///
    /// # Errors
    ///
    /// When the value cannot be serialised, for instance a map whose keys are not strings: 500.
    #[cfg(feature = "json")]
    pub fn write_json<T: serde_core::Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        // Written on its own and not behind what is there: nothing of it is to stay if it fails.
        let mut json = BodyBuffer::new();
        serde_json::to_writer(&mut json, value)?;
        self.say_json()?;
        self.write_buffer(json);
        Ok(())
    }

    /// [`write`](Exchange::write) for bytes that are JSON already, of which nobody is to keep a copy:
    /// `Cache-Control: no-store`.
    #[cfg(feature = "comet")]
    #[inline]
    pub(crate) fn write_uncached_json(&mut self, json: &Bytes) -> Result<()> {
        self.check_open()?;
        match self.head {
            // The usual way has both with the type, and needs no head.
            None => self.kind = Kind::UncachedJson,
            Some(_) => {
                self.say_json()?;
                self.set_header("Cache-Control", "no-store")?;
            }
        }
        match json.len() {
            // A handle is a block of memory and two atomic operations.
            ..=super::content::MOST_COPIED => self.write(&json[..]),
            _ => self.write(json),
        }
        Ok(())
    }

    /// The type of what is written: a known one, which costs no header line.
    #[cfg(feature = "json")]
    #[inline]
    fn say_json(&mut self) -> Result<()> {
        if self.stage == Stage::Open {
            self.kind = Kind::Json;
            if let Some(head) = &mut self.head {
                head.set_content_type("application/json")?;
            }
        }
        Ok(())
    }

    /// Sends what was written so far and waits until the connection has taken it: how a response is streamed.
    ///
    /// The first flush makes the head known: status and headers cannot change afterwards, and what the handler does from
    /// then on is the response's body. A client of HTTP/1.1 gets it in chunks, unless the handler has set
    /// `Content-Length`. When there is no body to send, for a HEAD request or a status without content, the response is
    /// complete with its head, and the handler is dropped at this call.
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
    /// async fn count(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     exchange.set_header("Content-Type", "text/plain")?;
    ///     for second in 1..=10 {
    ///         exchange.write(format!("{second}\n"));
    ///         exchange.flush().await?;
    ///         web::sleep(Duration::from_secs(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn flush(&mut self) -> Result<()> {
        if self.stage == Stage::Open {
            self.hand_out_head()?;
        }
        let Some(writer) = self.extras.as_mut().and_then(|extras| extras.writer.as_mut()) else {
            // Finished before anything was sent: it leaves as a whole.
            return Ok(());
        };
        let data = self.buffer.take();
        if !data.is_empty() {
            writer.write_bytes(data).await?;
        }
        Ok(writer.flush().await?)
    }

    /// Has `change` look at the response when its head is complete and nothing of it has been sent, streamed or whole,
    /// and change it: add a header, put something around its body. Error pages are responses too.
    ///
    /// Of several, the one registered last runs first, so that what a [`Wrap`](crate::Wrap) further out registers before
    /// it calls the rest sees what those further in have made. If one panics, the answer is a 500, which the others see.
    /// One that is registered when the head has been sent never runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, Next};
    ///
    /// async fn frame_options(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    ///     exchange.on_response(|response| {
    ///         // Cannot fail: both texts are known to be valid.
    ///         let _ = response.set_header("X-Frame-Options", "DENY");
    ///     });
    ///     next.run(exchange).await
    /// }
    /// ```
    pub fn on_response(&mut self, change: impl FnOnce(&mut Response) + 'static) {
        self.extras().response_hooks.push(Box::new(change));
    }

    /// Runs what [`on_response`](Exchange::on_response) was given, once. When one of them panics, the others are left.
    pub(crate) fn run_response_hooks(&mut self, response: &mut Response) {
        #[cfg(feature = "debug")]
        crate::debug::add_script(self, response);
        let Some(extras) = &mut self.extras else { return };
        while let Some(change) = extras.response_hooks.pop() {
            change(response);
        }
        self.status = response.status();
    }

    /// Takes out the hooks that have not run.
    pub(crate) fn take_response_hooks(&mut self) -> Vec<ResponseHook> {
        self.extras.as_mut().map(|extras| std::mem::take(&mut extras.response_hooks)).unwrap_or_default()
    }

    /// Declares the response complete: nothing can be added to it. A `prepare` that calls this is the whole answer.
    ///
    /// Handlers that return have finished anyway.
    pub fn finish(&mut self) {
        self.stage = Stage::Finished;
    }

    /// Declares the response complete, with `body` in place of what was written: a file, a stream, or a body that came from
    /// elsewhere.
    ///
    /// Its length is announced if it is known; otherwise it is sent in chunks. Set the `Content-Type` before: without one it
    /// is that of [`write`](Exchange::write). For a HEAD request the body is dropped unread.
    ///
    /// # Errors
    ///
    /// [`Error::HeadSent`] after the first [`flush`](Exchange::flush), [`Error::Finished`] when the response was finished
    /// before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use web::{Exchange, httpserver::Body};
    ///
    /// async fn report(exchange: &mut Exchange) -> web::Result<()> {
    ///     let file = File::open("report.pdf")?;
    ///     exchange.set_header("Content-Type", "application/pdf")?;
    ///     exchange.finish_with(Body::file(file, ..)?)
    /// }
    /// ```
    #[inline]
    pub fn finish_with(&mut self, body: impl Into<Body>) -> Result<()> {
        self.check_open()?;
        self.buffer = Unsent::default();
        self.extras().body = Some(Box::new(body.into()));
        self.finish();
        Ok(())
    }

    /// Whether the response is complete, by [`finish`](Exchange::finish) or by [`redirect`](Exchange::redirect).
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Has the client store the answer as a file with this name: `Content-Disposition: attachment`.
    ///
    /// Any text will do. A name with letters beyond ASCII is sent in the two forms of RFC 6266, plain for old clients and in
    /// full for all others. Control characters, `/` and `\` become `_`: no name leads to another header or another directory.
    ///
    /// # Errors
    ///
    /// Once the head has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn export(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     exchange.set_header("Content-Type", "text/csv; charset=utf-8")?;
    ///     exchange.attachment("Umsätze 2026.csv")?;
    ///     exchange.write("Januar;1200\n");
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn attachment(&mut self, name: impl AsRef<str>) -> Result<()> {
        self.set_header("Content-Disposition", content_disposition("attachment", name.as_ref()))
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
        if let Some(extras) = &mut self.extras {
            extras.body = None;
            extras.trailers = None;
        }
        self.kind = Kind::Html;
        self.stage = Stage::Open;
    }

    /// Drops what was written, for a body that comes instead.
    #[cfg(feature = "static")]
    #[inline]
    pub(crate) fn start_body_over(&mut self) -> Result<()> {
        self.check_open()?;
        self.buffer = Unsent::default();
        Ok(())
    }

    /// Whether anything was written that is not yet sent.
    pub(crate) fn has_content(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The response as a whole. Its head must not have been sent.
    pub(crate) fn take_response(&mut self) -> Result<Response> {
        let own = self.extras.as_mut().and_then(|extras| extras.body.take());
        let has_body = own.is_some() || self.has_content();
        let body = own.map_or_else(|| self.buffer.take_body(), |body| *body);
        self.finish();
        let mut response = self.take_head(has_body)?;
        response.set_body(body);
        if has_body && let Some(trailers) = self.take_trailers() {
            trailers::append(&mut response, trailers);
        }
        if self.has_validators {
            self.apply_conditions(&mut response)?;
        }
        Ok(response)
    }

    /// Whether the response is nothing but a status and a body, as a whole.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        #[cfg(feature = "debug")]
        if self.is_debug() {
            return false;
        }
        // A head that was sent has left a writer among the extras.
        self.has_content() && self.head.is_none() && self.extras.is_none()
    }

    /// [`take_response`](Exchange::take_response) of a [plain](Exchange::is_plain) one.
    #[inline]
    pub(crate) fn take_plain(&mut self) -> Response {
        self.finish();
        let mut response = self.kind.response(self.buffer.take_body());
        response.set_status(self.status);
        response
    }

    /// Gives what is left of a response whose head has been sent to its body, and ends it.
    pub(crate) fn end_stream(&mut self) -> Result<()> {
        // An upgraded connection has no body.
        if self.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let rest = self.buffer.take();
        self.finish();
        let mut writer = self.extras.as_mut().and_then(|extras| extras.writer.take()).ok_or(Error::HeadSent)?;
        if let Some(trailers) = self.take_trailers() {
            writer.set_trailers(trailers);
        }
        writer.finish_with(rest);
        Ok(())
    }

    /// Leaves a response unfinished, so that the connection is closed and the client can tell.
    pub(crate) fn abandon_stream(&mut self) {
        let writer = self.extras.as_mut().and_then(|extras| extras.writer.take());
        self.finish();
        drop(writer);
    }

    /// Takes what was written and not yet sent.
    #[inline]
    pub(crate) fn take_written(&mut self) -> Bytes {
        self.buffer.take()
    }

    /// Of the body of a response whose head has been sent.
    #[inline]
    pub(crate) fn body_writer(&mut self) -> Option<&mut BodyWriter> {
        self.extras.as_mut()?.writer.as_mut()
    }

    /// Hands out the response, with a body that this exchange goes on to write.
    #[inline]
    fn hand_out_head(&mut self) -> Result<()> {
        self.hand_out_head_with(|body| body)
    }

    /// [`hand_out_head`](Exchange::hand_out_head), with something around the body.
    #[inline]
    pub(crate) fn hand_out_head_with(&mut self, around: impl FnOnce(Body) -> Body) -> Result<()> {
        let mut response = self.take_head(true)?;
        if self.has_validators {
            self.apply_conditions(&mut response)?;
        }
        let (writer, body) = Body::channel();
        let driver = writer.driver();
        response.set_body(around(body));
        self.run_response_hooks(&mut response);
        self.extras().writer = Some(writer);
        self.head_sent = true;
        self.stage = Stage::Streaming;
        early::hand_out(Early { response, rest: Rest::Body(driver) });
        Ok(())
    }

    /// The headers for an upgrade. What was written is dropped: a 101 has no body.
    #[cfg(feature = "websocket")]
    #[inline]
    pub(crate) fn take_upgrade_head(&mut self) -> Result<Response> {
        self.check_open()?;
        self.buffer = Unsent::default();
        self.take_head(false)
    }

    /// Declares the response complete with one that upgrades the connection.
    #[cfg(feature = "websocket")]
    #[inline]
    pub(crate) fn finish_with_upgrade(&mut self, response: Response) {
        self.status = response.status();
        self.head = Some(Box::new(response));
        self.kind = Kind::Own;
        // They are in its head.
        #[cfg(feature = "cookies")]
        if let Some(extras) = &mut self.extras {
            extras.cookies = Default::default();
        }
        self.finish();
    }

    /// Hands out a response that upgrades the connection, with the handler to go on behind it.
    #[cfg(feature = "websocket")]
    #[inline]
    pub(crate) fn hand_out_upgrade(&mut self, mut response: Response, slot: std::rc::Rc<crate::websocket::Slot>) {
        self.status = response.status();
        self.run_response_hooks(&mut response);
        self.head_sent = true;
        self.stage = Stage::Finished;
        early::hand_out(Early { response, rest: Rest::WebSocket(slot) });
    }

    /// Status and headers, with the cookies, and without the default type if there is nothing that has a type.
    fn take_head(&mut self, with_body: bool) -> Result<Response> {
        let mut head = self.head.take().map_or_else(|| self.kind.response(Body::empty()), |head| *head);
        head.set_status(self.status);
        let has_body = with_body && !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !has_body && matches!(self.kind, Kind::Html | Kind::Text) {
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

    fn head_mut(&mut self) -> &mut Response {
        self.head.get_or_insert_with(|| Box::new(self.kind.response(Body::empty())))
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

    /// Whether more of the body can follow. If not, an error is logged.
    #[inline]
    fn can_be_added_to(&self) -> bool {
        if self.stage == Stage::Finished {
            report_failure("web", format_args!("write() after the response was finished"));
        }
        self.stage != Stage::Finished
    }

    /// Whether status and headers can still change.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self.stage {
            Stage::Open => Ok(()),
            _ if self.head_sent => Err(Error::HeadSent),
            Stage::Streaming | Stage::Finished => Err(Error::Finished),
        }
    }
}
