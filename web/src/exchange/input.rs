//! The request's side: arguments, headers, body.

use std::borrow::Cow;

use httpserver::{Bytes, Headers, Method, StatusCode, httputil::Arguments};

use super::Exchange;
use crate::{
    error::{Error, Result},
    from_text::FromText,
};

#[cfg(feature = "json")]
const JSON: &str = "application/json";

impl Exchange {
    /// Returns the request's method. A GET route sees HEAD here when it answers one.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Returns the request's headers.
    pub fn headers(&self) -> &Headers {
        self.request.headers()
    }

    /// Returns the value of the request's first header line with this name; `None` if there is none, or if it is not UTF-8.
    ///
    /// Values are bytes, and a client may send any byte above 127. [`Headers::get_bytes`] and [`Headers::get_all`] return
    /// them as they are.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)
    }

    /// Returns the value of the request's cookie `name`. If it was sent several times, the last one counts.
    ///
    /// A quoted value is unquoted, so this returns what `set_cookie`, of the feature `cookies`, was called with.
    #[inline]
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.cookie(name)
    }

    /// Returns all cookies of the request as name and value, in the order in which they were sent; see
    /// [`parse_cookie`](httpserver::httputil::parse_cookie).
    #[inline]
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.request.cookies()
    }

    /// Returns the parameter `{name}` of the route's path, percent-decoded and parsed: `exchange.path::<u64>("id")?`.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8 or does not parse as `T`. A parameter that the route's pattern does not have is a mistake
    /// in the program: 500, and a log line that names parameter and pattern.
    pub fn path<T: FromText>(&self, name: &str) -> Result<T> {
        parse(name, &self.params.decoded(name, self.request.path())?)
    }

    /// Returns the argument `name` of the query string, decoded and parsed: `exchange.query::<u32>("page")?`. If there are
    /// several, the last one counts.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, is not UTF-8 or does not parse as `T`, and when there are too many arguments.
    pub fn query<T: FromText>(&self, name: &str) -> Result<T> {
        required(name, self.query_opt(name)?)
    }

    /// Returns the argument `name` of the query string, or `None` when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`.
    pub fn query_opt<T: FromText>(&self, name: &str) -> Result<Option<T>> {
        let value = self.query_arguments()?.get(name)?;
        value.map(|value| parse(name, &value)).transpose()
    }

    /// Returns all values of the argument `name` of the query string, in order.
    ///
    /// # Errors
    ///
    /// 400 when one of them does not parse as `T`.
    pub fn queries<T: FromText>(&self, name: &str) -> Result<Vec<T>> {
        parse_all(name, self.query_arguments()?.get_all(name)?)
    }

    /// Returns all arguments of the query string.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS).
    #[inline]
    pub fn query_arguments(&self) -> Result<Arguments<'_>> {
        Ok(self.request.query_arguments()?)
    }

    /// Returns the argument `name` of the form in the body, or of the query string when the form does not have it. If
    /// there are several, the last one counts.
    ///
    /// Reads the body if it is an urlencoded form, and leaves any other body alone.
    ///
    /// # Errors
    ///
    /// As [`query`](Exchange::query) and [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn argument<T: FromText>(&mut self, name: &str) -> Result<T> {
        required(name, self.argument_opt(name).await?)
    }

    /// Returns the argument `name` as [`argument`](Exchange::argument) does, or `None` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Exchange::argument), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn argument_opt<T: FromText>(&mut self, name: &str) -> Result<Option<T>> {
        let value = self.form().await?.get(name)?;
        match value {
            Some(value) => Ok(Some(parse(name, &value)?)),
            None => self.query_opt(name),
        }
    }

    /// Returns the arguments of the urlencoded form in the body; none if the body is something else.
    ///
    /// The form is parsed once. Later calls, and those of [`argument`](Exchange::argument), search what was found then.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS), 415 for a form with a `Content-Encoding`, and
    /// as [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn form(&mut self) -> Result<Arguments<'_>> {
        if !self.request.is_form()? {
            return Ok(Arguments::parse(&[])?);
        }
        self.collect().await?;
        let Exchange { request, extras, .. } = self;
        let body = request.body_mut().as_bytes().unwrap_or_default();
        let form = &mut extras.get_or_insert_default().form;
        let index = match form.take() {
            Some(index) => index,
            None => Arguments::parse(body)?.index(),
        };
        Ok(Arguments::with_index(body, form.insert(index)))
    }

    /// Parses the body as JSON: `let order: Order = exchange.json().await?;`
    ///
    /// # Errors
    ///
    /// 415 when the request's `Content-Type` is neither `application/json` nor one that ends in `+json`; 400 when the
    /// body is not JSON, or not the JSON of a `T`; and as [`bytes`](Exchange::bytes).
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
    async fn collect(&mut self) -> Result<&[u8]> {
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

    /// The parameter as it stands in the path.
    #[cfg(feature = "static")]
    #[inline]
    pub(crate) fn has_path_param(&self, name: &str) -> bool {
        self.params.raw(name, self.request.path()).is_some()
    }
}

fn parse<T: FromText>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::invalid_argument(name, "it cannot be parsed"))
}

fn parse_all<T: FromText>(name: &str, values: Vec<Cow<'_, str>>) -> Result<Vec<T>> {
    values.iter().map(|value| parse(name, value)).collect()
}

fn required<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::MissingArgument { name: name.to_owned() })
}

#[cfg(feature = "json")]
#[inline]
fn is_json(media_type: &[u8]) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let (_, end) = media_type.split_at(media_type.len().saturating_sub(SUFFIX.len()));
    media_type.eq_ignore_ascii_case(JSON.as_bytes()) || end.eq_ignore_ascii_case(SUFFIX)
}
