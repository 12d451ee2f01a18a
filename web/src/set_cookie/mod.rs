//! The cookies that a response sets.

mod cookie;

use std::{borrow::Cow, fmt::Write};

use httpserver::Response;

pub use self::cookie::{Cookie, SameSite};
use crate::{
    error::{Error, Result},
    exchange::Exchange,
};

impl Exchange {
    /// Sets a cookie: `exchange.set_cookie(("theme", "dark"))?`, or with attributes through [`Cookie::build`].
    ///
    /// Its path is `/` by default. A value with spaces, quotes, commas, semicolons, backslashes or text
    /// beyond ASCII is quoted as Tornado and Python do it; [`cookie`](Exchange::cookie) undoes that. Beyond ASCII the bytes of
    /// UTF-8 are written, where Python writes those of Latin-1, and both are read. Setting a cookie of the same name, path and
    /// domain again replaces it.
    ///
    /// What browsers would drop without a word is an error here. A name that begins with `__Secure-` or `__Host-` promises
    /// that nobody has set the cookie over plain HTTP, and the second one that no other host of the domain has: `Secure` is
    /// added, and anything that contradicts the name is an error. `SameSite=None` and `Partitioned` go with `Secure` too.
    ///
    /// # Errors
    ///
    /// When the name is no token, when the value holds control characters, when path or domain hold control characters,
    /// spaces or semicolons (which would begin another attribute); and once the head has been sent.
    ///
    /// When a browser would drop it: name and value have more than 4096 bytes together, or path or domain more than 1024; the
    /// path does not begin with a slash; `__Secure-`, `__Host-`, `SameSite=None` or `Partitioned` with `secure(false)`;
    /// `__Host-` with a domain, or with another path than `/`.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Cookie, Exchange, SameSite};
    ///
    /// async fn enter(exchange: &mut Exchange) -> web::Result<()> {
    ///     let session = Cookie::build(("session", "a1b2c3"))
    ///         .http_only(true)
    ///         .secure(true)
    ///         .same_site(SameSite::Lax);
    ///     exchange.set_cookie(session)?;
    ///     exchange.redirect("/")
    /// }
    /// ```
    pub fn set_cookie(&mut self, cookie: impl Into<Cookie>) -> Result<()> {
        self.check_open()?;
        self.response_cookies().set(cookie.into())
    }

    /// Makes the client forget a cookie. Path and domain must be those that it was set with: pass the name for a cookie
    /// without a domain on `/`, and a [`Cookie`] with both otherwise.
    ///
    /// # Errors
    ///
    /// As [`set_cookie`](Exchange::set_cookie).
    pub fn clear_cookie(&mut self, cookie: impl Into<Cookie>) -> Result<()> {
        let mut cookie = cookie.into();
        cookie.forget();
        self.set_cookie(cookie)
    }
}

/// The cookies of one response, checked and quoted.
#[derive(Default)]
pub(crate) struct SetCookies(Vec<Cookie>);

impl SetCookies {
    #[inline]
    fn set(&mut self, mut cookie: Cookie) -> Result<()> {
        complete(&mut cookie);
        let checked = check(&cookie).and_then(|()| {
            if let Cow::Owned(quoted) = quote(&cookie.value) {
                cookie.value = Cow::Owned(quoted);
            }
            check_kept(&cookie)
        });
        if let Err(reason) = checked {
            return Err(Error::InvalidCookie { name: cookie.name.into_owned(), reason });
        }
        self.0.retain(|known| !is_same(known, &cookie));
        self.0.push(cookie);
        Ok(())
    }

    #[inline]
    pub(crate) fn write_to(&self, response: &mut Response) -> Result<()> {
        for cookie in &self.0 {
            response.append_header("Set-Cookie", cookie.to_string())?;
        }
        Ok(())
    }
}

/// Whether a client keeps one of them only: name, path and domain identify a cookie (RFC 6265, section 5.3).
#[inline]
fn is_same(a: &Cookie, b: &Cookie) -> bool {
    a.name == b.name && a.path == b.path && a.domain == b.domain
}

#[inline]
pub(crate) fn check(cookie: &Cookie) -> Result<(), &'static str> {
    if cookie.name.is_empty() || !cookie.name.bytes().all(is_token) {
        return Err("the name is not a token");
    }
    if cookie.value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("control characters in the value");
    }
    if !cookie.path.as_deref().unwrap_or_default().bytes().all(is_attribute) {
        return Err("forbidden characters in the path");
    }
    if !cookie.domain.as_deref().unwrap_or_default().bytes().all(is_attribute) {
        return Err("forbidden characters in the domain");
    }
    Ok(())
}

/// What the name demands, and the path that most cookies have.
#[inline]
pub(crate) fn complete(cookie: &mut Cookie) {
    cookie.path.get_or_insert(Cow::Borrowed("/"));
    if has_prefix(cookie, "__Secure-") || has_prefix(cookie, "__Host-") {
        cookie.secure.get_or_insert(true);
    }
}

/// Whether a browser would keep it (RFC 6265bis, sections 5.6 and 5.7).
#[inline]
pub(crate) fn check_kept(cookie: &Cookie) -> Result<(), &'static str> {
    let (path, domain) = (cookie.path.as_deref().unwrap_or("/"), cookie.domain.as_deref().unwrap_or_default());
    if cookie.name.len() + cookie.value.len() > 4096 {
        return Err("more than 4096 bytes, name and value together");
    }
    if path.len() > 1024 || domain.len() > 1024 {
        return Err("more than 1024 bytes in an attribute");
    }
    if !path.starts_with('/') {
        return Err("a path that does not begin with a slash");
    }
    let is_host = has_prefix(cookie, "__Host-");
    if (cookie.is_for_others() || is_host || has_prefix(cookie, "__Secure-")) && cookie.secure == Some(false) {
        return Err("`SameSite=None`, `Partitioned`, `__Secure-` and `__Host-` need `Secure`");
    }
    if is_host && (path != "/" || cookie.domain.is_some()) {
        return Err("`__Host-` allows no domain, and no other path than /");
    }
    Ok(())
}

/// Browsers look at these prefixes in any case of letters.
#[inline]
fn has_prefix(cookie: &Cookie, prefix: &str) -> bool {
    cookie.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A `tchar` of RFC 9110, section 5.6.2.
#[inline]
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[inline]
fn is_attribute(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b';'
}

/// Quotes a value that cannot be sent as it is.
#[inline]
pub(crate) fn quote(value: &str) -> Cow<'_, str> {
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut quoted = String::with_capacity(value.len() + 8);
    quoted.push('"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            _ if is_plain(byte) || byte == b' ' => quoted.push(char::from(byte)),
            _ => {
                // A String takes whatever is written to it.
                let _ = write!(quoted, "\\{byte:03o}");
            }
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

/// RFC 6265's cookie-octet.
#[inline]
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use httpserver::httputil::parse_cookie;
    use proptest::prelude::*;

    use super::*;

    fn refused(cookie: impl Into<Cookie>) -> bool {
        SetCookies::default().set(cookie.into()).is_err()
    }

    #[test]
    fn names_have_to_be_tokens() {
        for name in ["", "a b", "a;b", "a=b", "a\r\nb", "é", "a\"b"] {
            assert!(refused((name.to_owned(), "v")), "{name:?}");
        }
        assert!(!refused(("__Host-xsrf", "v")));
    }

    #[test]
    fn control_characters_are_refused_everywhere() {
        for hazard in ["\r\n", "\0", "\n", "\x7f", "\x1b"] {
            assert!(refused(("k", format!("a{hazard}b"))));
            assert!(refused(Cookie::build(("k", "v")).path(format!("/{hazard}"))));
            assert!(refused(Cookie::build(("k", "v")).domain(format!("d{hazard}"))));
        }
    }

    #[test]
    fn attributes_cannot_begin_another_attribute() {
        for hazard in ["/; HttpOnly=; Domain=evil", "/ x", "/é"] {
            assert!(refused(Cookie::build(("k", "v")).path(hazard.to_owned())));
            assert!(refused(Cookie::build(("k", "v")).domain(hazard.trim_start_matches('/').to_owned())));
        }
    }

    fn accepted(cookie: impl Into<Cookie>) -> String {
        let mut cookies = SetCookies::default();
        cookies.set(cookie.into()).unwrap();
        cookies.0[0].to_string()
    }

    #[test]
    fn every_attribute_is_sent() {
        let cookie = Cookie::build(("k", "v")).path("/p").domain("example.com").http_only(true).partitioned(true);
        let cookie = cookie.same_site(SameSite::None).max_age(Duration::from_secs(3600));
        let expected = "k=v; HttpOnly; SameSite=None; Partitioned; Secure; Path=/p; Domain=example.com; Max-Age=3600";
        assert_eq!(accepted(cookie), expected);
    }

    #[test]
    fn prefixes_get_what_they_demand() {
        assert_eq!(accepted(("__Host-a", "v")), "__Host-a=v; Secure; Path=/");
        assert_eq!(accepted(("__Secure-a", "v")), "__Secure-a=v; Secure; Path=/");
        assert_eq!(accepted(("__host-a", "v")), "__host-a=v; Secure; Path=/");
        assert_eq!(accepted(Cookie::build(("__Secure-a", "v")).path("/p").domain("d")).matches("Secure;").count(), 1);
        assert_eq!(accepted(("__Hosta", "v")), "__Hosta=v; Path=/");
    }

    #[test]
    fn what_contradicts_a_prefix_is_refused() {
        for name in ["__Host-a", "__HOST-a", "__Secure-a", "__secure-a"] {
            assert!(refused(Cookie::build((name, "v")).secure(false)), "{name}");
        }
        assert!(refused(Cookie::build(("__Host-a", "v")).path("/p")));
        assert!(refused(Cookie::build(("__Host-a", "v")).domain("example.com")));
        assert!(refused(Cookie::build(("__hOsT-a", "v")).domain("example.com")));
        assert!(!refused(Cookie::build(("__Secure-a", "v")).domain("example.com").path("/p")));
    }

    #[test]
    fn what_browsers_would_drop_is_refused() {
        assert!(refused(Cookie::build(("k", "v")).same_site(SameSite::None).secure(false)));
        assert!(refused(Cookie::build(("k", "v")).partitioned(true).secure(false)));
        assert!(refused(Cookie::build(("k", "v")).path("p")));
        assert!(refused(Cookie::build(("k", "v")).path(format!("/{}", "p".repeat(1024)))));
        assert!(refused(Cookie::build(("k", "v")).domain("d".repeat(1025))));
        assert!(!refused(("k", "v".repeat(4095))));
        assert!(refused(("k", "v".repeat(4096))));
        // As it is sent, quotes and escapes included.
        assert!(refused(("k", ";".repeat(1100))));
    }

    #[test]
    fn values_are_quoted_when_they_have_to_be() {
        assert_eq!(quote("a=b/c:d@e"), "a=b/c:d@e");
        assert_eq!(quote("b;c\"d\\é,"), r#""b\073c\"d\\\303\251\054""#);
        assert_eq!(quote("two words"), "\"two words\"");
        assert_eq!(quote(""), "");
    }

    #[test]
    fn setting_a_cookie_again_replaces_it() {
        let mut cookies = SetCookies::default();
        for value in ["1", "2"] {
            cookies.set(Cookie::new("a", value)).unwrap();
        }
        cookies.set(Cookie::build(("a", "3")).path("/deep")).unwrap();
        let sent: Vec<String> = cookies.0.iter().map(Cookie::to_string).collect();
        assert_eq!(sent, ["a=2; Path=/", "a=3; Path=/deep"]);
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_read_again(value: String) {
            let quoted = quote(&value);
            prop_assert!(quoted.bytes().all(|byte| byte != b';' && (byte == b' ' || byte.is_ascii_graphic())));
            let line = format!("name={quoted}");
            let read: Vec<_> = parse_cookie(line.as_bytes()).collect();
            prop_assert_eq!(read, [("name", Cow::from(value))]);
        }
    }
}
