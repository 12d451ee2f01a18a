//! Requests of other sites' pages, by what the browser says of them.

use httpserver::StatusCode;

use super::is_safe;
use crate::{
    error::{HttpError, Result},
    exchange::Exchange,
    origin::Origins,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that refuses with 403 what pages of other origins make a browser send, unless the method is GET,
/// HEAD, OPTIONS or TRACE: Tornado's setting `cross_origin_protection`.
///
/// Browsers say by `Sec-Fetch-Site` where a request comes from, and those from before 2023 by `Origin`; a script can set
/// neither. What has neither is let through: it was not sent by a browser, so nobody's cookies were sent without their wish.
/// An `Origin` is compared with the request's `Host`, so a proxy in front has to pass that on. The scheme is not compared.
///
/// This needs nothing in pages and forms. The tokens of `Xsrf`, feature `xsrf`, also help browsers that send neither header,
/// and both can be had.
///
/// GET requests are never refused, so a handler for GET must not change anything. Those that open WebSockets are looked at
/// elsewhere.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::CrossOriginProtection};
///
/// async fn buy(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("bought");
///     Ok(())
/// }
///
/// let application = Application::new()
///     .post("/buy", buy)
///     .wrap(CrossOriginProtection::new().trusted_origin("https://shop.example.com"));
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     client.post("/buy").header("Sec-Fetch-Site", "same-origin").send().await.assert_status(200);
/// #     client.post("/buy").header("Sec-Fetch-Site", "cross-site").send().await.assert_status(403);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct CrossOriginProtection {
    origins: Origins,
}

impl CrossOriginProtection {
    /// Trusts the pages of the server's own host, and no others.
    #[inline]
    pub fn new() -> CrossOriginProtection {
        CrossOriginProtection::default()
    }

    /// Trusts the pages of another origin as well, `https://app.example.com` for instance, with the port if it is not the
    /// usual one.
    ///
    /// # Panics
    ///
    /// When it is no origin: without a scheme, or with a path.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn trusted_origin(mut self, origin: &str) -> CrossOriginProtection {
        self.origins.allow(origin);
        self
    }

    #[inline]
    fn check(&self, exchange: &Exchange) -> Result<()> {
        let mut lines = exchange.headers().get_all("origin");
        // Of several nobody knows which one counts.
        let (origin, is_single) = (lines.next(), lines.next().is_none());
        let text = origin.filter(|_| is_single).and_then(|origin| std::str::from_utf8(origin).ok());
        let is_allowed = match exchange.headers().get_bytes("sec-fetch-site") {
            _ if is_safe(exchange.method()) => true,
            Some(b"same-origin" | b"none") => true,
            // The browser knows schemes and ports, so the host says nothing more.
            Some(_) => text.is_some_and(|origin| self.origins.lists(origin)),
            None if origin.is_none() => true,
            None => text.is_some_and(|origin| self.origins.allows(origin.as_bytes(), exchange.request().host())),
        };
        match is_allowed {
            true => Ok(()),
            false => Err(HttpError::new(StatusCode::FORBIDDEN).message("Requests of other sites are refused").into()),
        }
    }
}

impl Wrap for CrossOriginProtection {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        self.check(exchange)?;
        next.run(exchange).await
    }
}
