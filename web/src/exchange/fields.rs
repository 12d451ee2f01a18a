//! The fields of the request's head: headers and cookies.

use std::borrow::Cow;

use httpserver::Headers;

use super::Exchange;
use crate::{
    error::{Error, Result},
    from_text::FromText,
    input::{self, Source},
};

impl Exchange {
    /// Returns the request's headers.
    pub fn headers(&self) -> &Headers {
        self.request.headers()
    }

    /// Returns the value of the request's first header line with this name; `None` if there is none, or if it is not UTF-8.
    ///
    /// Values are bytes, and a client may send any byte above 127. [`Headers::get_bytes`] and [`Headers::get_all`] return
    /// them as they are. [`header_opt`](Exchange::header_opt) and its relatives parse them, and refuse what they cannot.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)
    }

    /// Returns the value of the request's first header line with this name, parsed.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, is not UTF-8 or does not parse as `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn pay(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let key: u64 = exchange.required_header("Idempotency-Key")?;
    ///     exchange.write_text(format!("Payment {key}"));
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn required_header<T: FromText>(&self, name: &str) -> Result<T> {
        input::required(Source::Header, name, self.header_text(name)?)
    }

    /// Returns the value of the request's first header line with this name, parsed; `None` when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and is not UTF-8 or does not parse as `T`.
    #[inline]
    pub fn header_opt<T: FromText>(&self, name: &str) -> Result<Option<T>> {
        input::optional(Source::Header, name, self.header_text(name)?)
    }

    /// Returns the value of the request's first header line with this name, parsed, or `default` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`header_opt`](Exchange::header_opt).
    #[inline]
    pub fn header_or<T: FromText>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.header_opt(name)?.unwrap_or(default))
    }

    /// Returns the members of the comma-separated list that the header lines with this name make together, parsed; see
    /// [`Headers::list`]. Not for headers such as `Date`, in which a comma means something else.
    ///
    /// # Errors
    ///
    /// As [`header_opt`](Exchange::header_opt).
    #[inline]
    pub fn header_all<T: FromText>(&self, name: &str) -> Result<Vec<T>> {
        let members = self.headers().list(name).map(|member| utf8(name, member)).collect::<Result<Vec<_>>>()?;
        input::parse_all(Source::Header, name, members)
    }

    /// Returns the value of the request's cookie `name`. If it was sent several times, the last one counts.
    ///
    /// A quoted value is unquoted, so this returns what `set_cookie`, of the feature `cookies`, was called with.
    #[inline]
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.cookie(name)
    }

    /// Returns the value of the request's cookie `name`, parsed.
    ///
    /// # Errors
    ///
    /// 400 when it is missing or does not parse as `T`.
    #[inline]
    pub fn required_cookie<T: FromText>(&self, name: &str) -> Result<T> {
        input::required(Source::Cookie, name, self.cookie(name))
    }

    /// Returns the value of the request's cookie `name`, parsed; `None` when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`.
    #[inline]
    pub fn cookie_opt<T: FromText>(&self, name: &str) -> Result<Option<T>> {
        input::optional(Source::Cookie, name, self.cookie(name))
    }

    /// Returns the value of the request's cookie `name`, parsed, or `default` when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`.
    #[inline]
    pub fn cookie_or<T: FromText>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.cookie_opt(name)?.unwrap_or(default))
    }

    /// Returns the values of all cookies `name`, parsed, in the order in which they were sent. A browser sends several when
    /// they were set for different paths or domains.
    ///
    /// # Errors
    ///
    /// 400 when one does not parse as `T`.
    #[inline]
    pub fn cookie_all<T: FromText>(&self, name: &str) -> Result<Vec<T>> {
        let values = self.cookies().filter(|(known, _)| *known == name).map(|(_, value)| value);
        input::parse_all(Source::Cookie, name, values.collect())
    }

    /// Returns all cookies of the request as name and value, in the order in which they were sent; see
    /// [`parse_cookie`](httpserver::httputil::parse_cookie).
    #[inline]
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.request.cookies()
    }

    #[inline]
    fn header_text(&self, name: &str) -> Result<Option<Cow<'_, str>>> {
        self.headers().get_bytes(name).map(|value| utf8(name, value)).transpose()
    }
}

#[inline]
fn utf8<'v>(name: &str, value: &'v [u8]) -> Result<Cow<'v, str>> {
    let text = std::str::from_utf8(value).map_err(|_| Error::invalid(Source::Header, name, "it is not UTF-8"))?;
    Ok(Cow::Borrowed(text))
}
