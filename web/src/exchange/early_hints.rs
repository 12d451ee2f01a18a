use httpserver::{Response, StatusCode};

use super::Exchange;
use crate::error::Result;

impl Exchange {
    /// Tells the client at once, ahead of the response, what the page will need: `103 Early Hints` with a `Link` line for
    /// each of `links`. A browser fetches these things while the handler is still at work.
    ///
    /// It pays where a page takes long to make. Nothing is sent to a client of HTTP/1.0, nor to one that has not taken what
    /// was sent before. Send hints to navigating browsers, as in the example: some old clients take any response for the last
    /// one (RFC 8297, section 3). Set the same lines as headers of the response for clients that ignore hints.
    ///
    /// # Errors
    ///
    /// When a link has a control character, and when the response has begun.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::Exchange;
    ///
    /// async fn front_page(exchange: &mut Exchange) -> web::Result<()> {
    ///     if exchange.header("sec-fetch-mode") == Some("navigate") {
    ///         exchange.early_hints(["</style.css>; rel=preload; as=style"])?;
    ///     }
    ///     exchange.write(make_page().await);
    ///     Ok(())
    /// }
    /// # async fn make_page() -> &'static str { "" }
    /// ```
    #[inline]
    pub fn early_hints<I>(&self, links: I) -> Result<()>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let mut head = Response::new(StatusCode::EARLY_HINTS);
        for link in links {
            head.append_header("Link", link.as_ref())?;
        }
        Ok(self.request().send_informational(&head)?)
    }
}
