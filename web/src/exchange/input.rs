//! The request's side: its method and its body.

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
    /// 415 when the request's `Content-Type` is neither `application/json` nor one that ends in `+json`; 400 when the
    /// body is not JSON, 422 when it is JSON and not that of a `T`; and as [`bytes`](Exchange::bytes).
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
        serde_json::from_slice(body).map_err(Error::InvalidJson)
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
