//! Forms with files.

#[cfg(feature = "xsrf")]
use httpserver::Body;
use httpserver::multipart::{FormData, FormLimits, Multipart};

use super::Exchange;
use crate::error::Result;

impl Exchange {
    /// Returns the parts of a multipart/form-data body, one after the other, as they come: for uploads of any size.
    ///
    /// The body is taken: [`bytes`](Exchange::bytes) and [`chunk`](Exchange::chunk) find none afterwards. `limits` may be
    /// `FormLimits::default()`; the body limit of the route holds as well.
    ///
    /// # Errors
    ///
    /// 415 when the body is something else, or has a `Content-Encoding`; 400 when its boundary is malformed. The parts
    /// themselves fail with 400 when they are malformed, and with 413 when they are too long.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, httpserver::multipart::FormLimits};
    ///
    /// async fn upload(exchange: &mut Exchange) -> web::Result<()> {
    ///     let mut form = exchange.multipart(FormLimits::default())?;
    ///     while let Some(mut part) = form.next_part().await? {
    ///         let mut size = 0;
    ///         while let Some(chunk) = part.chunk().await? {
    ///             size += chunk.len();
    ///         }
    ///         exchange.write(format!("{} bytes\n", size));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn multipart(&mut self, limits: FormLimits) -> Result<Multipart> {
        Ok(self.request.multipart_limited(limits)?)
    }

    /// Returns the whole form in the body, its files included; it may be multipart or urlencoded. It is held in memory, up to
    /// [`FormLimits::max_collected`].
    ///
    /// A multipart body is gone afterwards. A body that is no form is an empty one, and is left alone.
    ///
    /// # Errors
    ///
    /// 400 when it is malformed, or has too many parts or arguments; 413 when it is too long; 415 for one with a
    /// `Content-Encoding`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, httpserver::multipart::FormLimits};
    ///
    /// async fn avatar(exchange: &mut Exchange) -> web::Result<()> {
    ///     let form = exchange.form_data(FormLimits::default()).await?;
    ///     let name = form.argument("name")?.unwrap_or("nobody");
    ///     let size = form.file("picture").map_or(0, |picture| picture.body().len());
    ///     exchange.write_text(format!("{name}: {size} bytes\n"));
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub async fn form_data(&mut self, limits: FormLimits) -> Result<FormData> {
        Ok(self.request.form_data_limited(limits).await?)
    }

    /// Takes the body of the request, to look at its beginning.
    #[cfg(feature = "xsrf")]
    #[inline]
    pub(crate) fn take_request_body(&mut self) -> Body {
        self.request.take_body()
    }

    /// Puts it back, for the handler.
    #[cfg(feature = "xsrf")]
    #[inline]
    pub(crate) fn put_request_body(&mut self, body: Body) {
        self.request.set_body(body);
    }
}
