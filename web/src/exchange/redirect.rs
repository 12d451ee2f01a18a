//! Answers that send the client elsewhere.

use std::borrow::Cow;

use httpserver::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Exchange;
use crate::error::{Error, Result};

/// What a `Location` may not hold as it is. `%` is left alone: most locations are encoded already. A backslash is a
/// slash to browsers, and `/\host` therefore another host.
const LOCATION: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

impl Exchange {
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
    #[inline]
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
        self.buffer = Default::default();
        self.finish();
        Ok(())
    }

    /// Sends the client to another location with `303 See Other`, which it gets by GET: the answer to a form that has been
    /// taken, so that a reload of the page does not send the form again.
    ///
    /// # Errors
    ///
    /// As [`redirect`](Exchange::redirect).
    ///
    /// # Examples
    ///
    /// ```
    /// async fn add(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let title: String = exchange.argument("title").await?;
    ///     // ... keep it, then:
    ///     exchange.see_other("/notes")
    /// }
    /// ```
    #[inline]
    pub fn see_other(&mut self, location: &str) -> Result<()> {
        self.redirect_with(StatusCode::SEE_OTHER, location)
    }
}
