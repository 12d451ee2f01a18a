//! The request's side: its method and its body.

use std::time::Duration;

use httpserver::{Bytes, Method, StatusCode};

use super::Exchange;
use crate::error::{Error, Result};

#[cfg(feature = "json")]
const JSON: &str = "application/json";

impl Exchange {
    /// Returns the request's method. A GET route sees HEAD here when it answers one.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Parses the body as JSON: `let order: Order = exchange.json().await?;`
    ///
    /// # Errors
    ///
    /// 415 when the request's `Content-Type` is neither `application/json` nor one that ends in `+json`, and when the body has
    /// a content coding; 400 when it is not JSON, 422 when it is JSON and not that of a `T`; and as
    /// [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[cfg(feature = "json")]
    pub async fn json<T: serde_core::de::DeserializeOwned>(&mut self) -> Result<T> {
        if !self.headers().media_type().is_some_and(is_json) {
            return Err(Error::UnsupportedMediaType { expected: JSON });
        }
        let body = self.collect().await?;
        serde_json::from_slice(body).map_err(|error| self.json_error(error))
    }

    /// Looked for when it has failed: JSON that is compressed is no JSON.
    #[cfg(feature = "json")]
    #[cold]
    fn json_error(&self, error: serde_json::Error) -> Error {
        match self.headers().contains("content-encoding") {
            true => httpserver::Error::UnsupportedMediaType("JSON with a content coding").into(),
            false => Error::InvalidJson(error),
        }
    }

    /// Returns the body as text, whatever its `Content-Type`.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8, and as [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// async fn shout(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let text = exchange.text().await?;
    ///     exchange.write_text(text.to_uppercase());
    ///     Ok(())
    /// }
    /// ```
    pub async fn text(&mut self) -> Result<String> {
        let body = self.collect().await?;
        match std::str::from_utf8(body) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Error::http(StatusCode::BAD_REQUEST, "The body is not UTF-8")),
        }
    }

    /// Returns the whole body, collected in memory, up to the limit that the server sets for that (1 MiB by default).
    ///
    /// The first call reads the body and keeps it as long as the exchange lives. `bytes`, [`text`](Exchange::text),
    /// [`form`](Exchange::form), [`json`](Exchange::json) and [`argument`](Exchange::argument) all see the same body, in any
    /// order and any number of times. What [`chunk`](Exchange::chunk) has taken before is not part of it.
    ///
    /// # Errors
    ///
    /// 413 when it is longer, 400 when it is malformed, 408 when it stalls.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        self.collect().await?;
        Ok(self.kept())
    }

    /// Returns the whole body as [`bytes`](Exchange::bytes) does, with a limit in bytes for this call.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn bytes_limited(&mut self, max: usize) -> Result<Bytes> {
        if !self.collected {
            let body = self.request.bytes_limited(max).await?;
            self.keep(body);
        }
        let body = self.kept();
        if body.len() > max {
            // Collected before, under another limit.
            return Err(httpserver::Error::BodyTooLarge { limit: max as u64 }.into());
        }
        Ok(body)
    }

    /// Returns the next piece of the body as it arrives, and `None` at its end: for bodies that are too large to collect.
    /// The client is not read from while the handler is busy with a piece.
    ///
    /// # Errors
    ///
    /// 413 when the body is longer than the server allows at all, 400 when it is malformed, 408 when it stalls.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn count(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let mut received = 0;
    ///     while let Some(piece) = exchange.chunk().await? {
    ///         received += piece.len();
    ///     }
    ///     exchange.write(received.to_string());
    ///     Ok(())
    /// }
    /// ```
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if self.collected {
            return Ok(None);
        }
        Ok(self.request.body_mut().chunk().await?)
    }

    /// Sets the longest body of this request to `max` bytes, in place of the limit of its route or application: to raise it
    /// for some clients as well as to lower it. [`Limits::max_body`](crate::Limits::max_body), the server's, holds in any
    /// case, and so does [`Limits::max_collected_body`](crate::Limits::max_collected_body) for what is collected without a
    /// limit of the call's own.
    ///
    /// To be called before the body is read, in a wrap, in [`prepare`](crate::RequestHandler::prepare), or in the handler.
    /// A client that waits for `100 Continue` has not sent anything by then.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, Method, RequestHandler};
    ///
    /// struct Upload;
    ///
    /// impl RequestHandler for Upload {
    ///     const METHODS: &'static [Method] = &[Method::PUT];
    ///
    ///     /// Runs before anything of the body is read.
    ///     async fn prepare(&self, exchange: &mut Exchange) -> web::Result<()> {
    ///         let is_member = exchange.cookie("member").is_some();
    ///         exchange.set_body_limit(if is_member { 50 * 1024 * 1024 } else { 64 * 1024 });
    ///         Ok(())
    ///     }
    ///
    ///     async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
    ///         let mut size = 0;
    ///         while let Some(piece) = exchange.chunk().await? {
    ///             size += piece.len();
    ///         }
    ///         exchange.write_text(format!("{size} bytes"));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn set_body_limit(&mut self, max: u64) {
        if !self.request.is_body_end() {
            self.request.body_mut().set_limit(max);
        }
    }

    /// Sets the longest time without a byte of this request's body, in place of
    /// [`Limits::body_timeout`](crate::Limits::body_timeout). 408 when it is over.
    #[inline]
    pub fn set_body_timeout(&mut self, silence: Duration) {
        self.request.body_mut().set_timeout(silence);
    }

    /// Sets the longest time for the whole body of this request, in place of
    /// [`Limits::request_timeout`](crate::Limits::request_timeout). 408 when it is over.
    #[inline]
    pub fn set_total_body_timeout(&mut self, total: Duration) {
        self.request.body_mut().set_total_timeout(total);
    }

    /// Sets the slowest rate of this request's body in bytes per second, in place of
    /// [`Limits::min_body_rate`](crate::Limits::min_body_rate); 0 is none. 408 when it is slower.
    #[inline]
    pub fn set_min_body_rate(&mut self, rate: u32) {
        self.request.body_mut().set_min_rate(rate);
    }

    /// Reads the body unless that was done before. A second handle to its bytes costs an allocation, which what parses them
    /// at once is spared.
    pub(super) async fn collect(&mut self) -> Result<&[u8]> {
        if !self.collected {
            let body = self.request.bytes().await?;
            self.keep(body);
        }
        Ok(self.request.body_mut().as_bytes().unwrap_or_default())
    }

    /// Puts the whole body back into the request, for later calls and for whoever is given the request.
    fn keep(&mut self, body: Bytes) {
        self.request.set_body(body);
        self.collected = true;
    }

    /// The body that is kept.
    #[inline]
    fn kept(&mut self) -> Bytes {
        self.request.body_mut().share_bytes().unwrap_or_default()
    }
}

#[cfg(feature = "json")]
#[inline]
fn is_json(media_type: &[u8]) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let (_, end) = media_type.split_at(media_type.len().saturating_sub(SUFFIX.len()));
    media_type.eq_ignore_ascii_case(JSON.as_bytes()) || end.eq_ignore_ascii_case(SUFFIX)
}
