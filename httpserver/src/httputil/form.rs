//! Forms in the body of a request, as far as they are urlencoded.

use super::Arguments;
use crate::{Error, Request, Result};

const FORM: &[u8] = b"application/x-www-form-urlencoded";

impl Request {
    /// Collects an urlencoded form in the body and returns its arguments; none if the body is something else. The body
    /// stays in the request, so later calls return the same without reading again.
    ///
    /// It may have [`Limits::max_collected_body`](crate::Limits::max_collected_body) bytes, 1 MiB by default.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyArguments`] (400) when there are more than [`MAX_ARGUMENTS`](super::MAX_ARGUMENTS);
    /// [`Error::UnsupportedMediaType`] (415) for a form with a `Content-Encoding`; and as [`bytes`](Request::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Request::bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{IOLoop, Request};
    ///
    /// let mut request = Request::builder()
    ///     .header("Content-Type", "application/x-www-form-urlencoded")
    ///     .body("name=Ada&likes=tea&likes=cake")
    ///     .build()?;
    /// let form = IOLoop::current().run_sync(request.form())?;
    /// assert_eq!(form.get("name")?.as_deref(), Some("Ada"));
    /// assert_eq!(form.get_all("likes")?, ["tea", "cake"]);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub async fn form(&mut self) -> Result<Arguments<'_>> {
        if !self.is_form()? {
            return Arguments::parse(&[]);
        }
        if self.body_mut().as_bytes().is_none() {
            let body = self.bytes().await?;
            self.set_body(body);
        }
        Arguments::parse(self.body_mut().as_bytes().unwrap_or_default())
    }

    /// Whether the body is an urlencoded form, by its `Content-Type`.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedMediaType`] (415) for a form with a `Content-Encoding`: what is in it cannot be read.
    #[inline]
    pub fn is_form(&self) -> Result<bool> {
        let is_form = self.headers().media_type().is_some_and(|media_type| media_type.eq_ignore_ascii_case(FORM));
        if is_form {
            self.check_not_encoded()?;
        }
        Ok(is_form)
    }

    /// Fails if the body has a content coding.
    #[inline]
    pub(crate) fn check_not_encoded(&self) -> Result<()> {
        match self.headers().contains("content-encoding") {
            true => Err(Error::UnsupportedMediaType("a form with a content coding")),
            false => Ok(()),
        }
    }
}
