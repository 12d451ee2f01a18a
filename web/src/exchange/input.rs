//! The request's side: arguments, headers, body.

use std::borrow::Cow;
use std::str::FromStr;

use httpserver::{Bytes, Headers, Method};

use super::Exchange;
use crate::arguments::Arguments;
use crate::error::{Error, Result};

const FORM: &str = "application/x-www-form-urlencoded";
#[cfg(feature = "json")]
const JSON: &str = "application/json";

impl Exchange {
    /// The request's method. A GET route sees HEAD here when it answers one.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// The request's headers.
    pub fn headers(&self) -> &Headers {
        self.request.headers()
    }

    /// The value of the request's first header line with this name, if it is there and UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)
    }

    /// The parameter `{name}` of the route's path, percent-decoded and parsed: `exchange.path::<u64>("id")?`.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8 or does not parse as `T`, and also when the route has no parameter of that name.
    pub fn path<T: FromStr>(&self, name: &str) -> Result<T> {
        parse(name, &self.params.decoded(name, self.request.path())?)
    }

    /// The argument `name` of the query string: `exchange.query::<u32>("page")?`. The last one if there are several.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, is not UTF-8 or does not parse as `T`, and when there are too many arguments.
    pub fn query<T: FromStr>(&self, name: &str) -> Result<T> {
        required(name, self.query_opt(name)?)
    }

    /// As [`query`](Exchange::query), but `None` when the argument is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`.
    pub fn query_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let value = self.query_arguments()?.get(name)?;
        value.map(|value| parse(name, &value)).transpose()
    }

    /// All values of the argument `name` of the query string, in order.
    ///
    /// # Errors
    ///
    /// 400 when one of them does not parse as `T`.
    pub fn queries<T: FromStr>(&self, name: &str) -> Result<Vec<T>> {
        parse_all(name, self.query_arguments()?.get_all(name)?)
    }

    /// All arguments of the query string.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS).
    pub fn query_arguments(&self) -> Result<Arguments<'_>> {
        Arguments::parse(self.request.query().unwrap_or_default().as_bytes())
    }

    /// The argument `name` of the form in the body, or of the query string when the form does not have it; the last one
    /// if there are several.
    ///
    /// Reads the body if it is an urlencoded form; other bodies are left alone.
    ///
    /// # Errors
    ///
    /// As [`query`](Exchange::query), and whatever can go wrong with [`bytes`](Exchange::bytes).
    pub async fn argument<T: FromStr>(&mut self, name: &str) -> Result<T> {
        required(name, self.argument_opt(name).await?)
    }

    /// As [`argument`](Exchange::argument), but `None` when the argument is missing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Exchange::argument), except for missing ones.
    pub async fn argument_opt<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let value = self.form().await?.get(name)?;
        match value {
            Some(value) => Ok(Some(parse(name, &value)?)),
            None => self.query_opt(name),
        }
    }

    /// The arguments of the urlencoded form in the body; none if the body is something else.
    ///
    /// The body is collected by the first call and kept for later ones.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS), and whatever can go wrong with
    /// [`bytes`](Exchange::bytes).
    pub async fn form(&mut self) -> Result<Arguments<'_>> {
        if !self.is_media_type(|media_type| media_type.eq_ignore_ascii_case(FORM)) {
            return Arguments::parse(&[]);
        }
        if self.extras().form.is_none() {
            let body = self.request.bytes().await?;
            self.extras().form = Some(body);
        }
        let form = self.extras().form.as_deref();
        Arguments::parse(form.unwrap_or_default())
    }

    /// The body, parsed as JSON: `let order: Order = exchange.json().await?;`
    ///
    /// # Errors
    ///
    /// 415 when the request's `Content-Type` is neither `application/json` nor one that ends in `+json`; 400 when the
    /// body is not JSON, or not the JSON of a `T`; 413 when it is longer than may be collected.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        if !self.is_media_type(is_json) {
            return Err(Error::UnsupportedMediaType { expected: JSON });
        }
        let body = self.request.bytes().await?;
        serde_json::from_slice(&body).map_err(Error::InvalidJson)
    }

    /// The whole body, collected in memory, up to the limit that the server sets for that (1 MiB by default).
    ///
    /// # Errors
    ///
    /// 413 when it is longer, 400 when it is malformed, 408 when it stalls.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        Ok(self.request.bytes().await?)
    }

    /// As [`bytes`](Exchange::bytes), with a limit for this request.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn bytes_limited(&mut self, max: usize) -> Result<Bytes> {
        Ok(self.request.bytes_limited(max).await?)
    }

    /// The next piece of the body as it arrives, `None` at its end: for bodies that are too large to collect. The client
    /// is not read from while the handler is busy with a piece.
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
        Ok(self.request.body_mut().chunk().await?)
    }

    /// Whether the media type in `Content-Type`, without its parameters, is a certain one.
    fn is_media_type(&self, matches: impl FnOnce(&str) -> bool) -> bool {
        self.header("content-type").is_some_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default();
            matches(media_type.trim())
        })
    }

    /// The parameter as it stands in the path.
    #[cfg(feature = "static")]
    pub(crate) fn has_path_param(&self, name: &str) -> bool {
        self.params.raw(name, self.request.path()).is_some()
    }
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::invalid_argument(name, "it cannot be parsed"))
}

fn parse_all<T: FromStr>(name: &str, values: Vec<Cow<'_, str>>) -> Result<Vec<T>> {
    values.iter().map(|value| parse(name, value)).collect()
}

fn required<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::MissingArgument { name: name.to_owned() })
}

#[cfg(feature = "json")]
fn is_json(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    media_type == JSON || media_type.ends_with("+json")
}
