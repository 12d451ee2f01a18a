use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use httpserver::httputil::format_timestamp;

/// A cookie to be set, with its attributes (RFC 6265bis).
///
/// A name and a value are a cookie already, wherever one is taken: `exchange.set_cookie(("theme", "dark"))`. Attributes are
/// added by methods of the same names as those of the `cookie` crate.
///
/// Its `Display` is the value of a `Set-Cookie` line. Nothing is checked or quoted there: [`Exchange::set_cookie`] does that.
///
/// [`Exchange::set_cookie`]: crate::Exchange::set_cookie
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Cookie, SameSite};
///
/// let cookie = Cookie::build(("language", "de"))
///     .max_age(Duration::from_secs(30 * 24 * 60 * 60))
///     .same_site(SameSite::Lax);
/// assert_eq!(cookie.to_string(), "language=de; SameSite=Lax; Max-Age=2592000");
/// ```
#[derive(Clone)]
pub struct Cookie {
    pub(crate) name: Cow<'static, str>,
    pub(crate) value: Cow<'static, str>,
    pub(crate) path: Option<Cow<'static, str>>,
    pub(crate) domain: Option<Cow<'static, str>>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) expires: Option<SystemTime>,
    /// `None` while nothing was said, as below.
    pub(crate) secure: Option<bool>,
    pub(crate) http_only: Option<bool>,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) is_partitioned: bool,
}

/// Which requests that other sites cause have the cookie: [`Cookie::same_site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// None of them. Who follows a link to the site comes without the cookie.
    Strict,
    /// Only that of a link which somebody follows. What most browsers do when nothing is said.
    Lax,
    /// All of them. Browsers want [`Secure`](Cookie::secure) with it.
    None,
}

impl Cookie {
    /// A cookie without attributes.
    #[inline]
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Cookie {
        Cookie {
            name: name.into(),
            value: value.into(),
            path: None,
            domain: None,
            max_age: None,
            expires: None,
            secure: None,
            http_only: None,
            same_site: None,
            is_partitioned: false,
        }
    }

    /// A cookie of a name and a value, or of a name alone, to add attributes to.
    #[inline]
    pub fn build(base: impl Into<Cookie>) -> Cookie {
        base.into()
    }

    /// Returns the name.
    #[inline]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value.
    #[inline]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Sets the path, below which the browser sends the cookie. [`Exchange::set_cookie`](crate::Exchange::set_cookie) takes
    /// `/` when none is set.
    #[must_use]
    #[inline]
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the domain, all hosts of which are sent the cookie. Without one it goes to the host that has set it, and to no
    /// other.
    #[must_use]
    #[inline]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets for how long the browser keeps the cookie, in whole seconds. Without it and [`expires`](Cookie::expires), until
    /// it is closed. Browsers keep none for more than 400 days.
    #[must_use]
    #[inline]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets until when the browser keeps the cookie, by its own clock. [`max_age`](Cookie::max_age) goes before it, and does
    /// not depend on two clocks.
    #[must_use]
    #[inline]
    pub fn expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// Sets whether the cookie is sent over HTTPS alone.
    #[must_use]
    #[inline]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = Some(secure);
        self
    }

    /// Sets whether the cookie is hidden from scripts.
    #[must_use]
    #[inline]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = Some(http_only);
        self
    }

    /// Sets which requests that other sites cause have the cookie.
    #[must_use]
    #[inline]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Sets whether each site that embeds this one gets a cookie of its own (CHIPS).
    #[must_use]
    #[inline]
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.is_partitioned = partitioned;
        self
    }

    /// Makes it a cookie that a browser forgets. One that does not know `Max-Age` goes by the date.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.value = Cow::Borrowed("");
        self.max_age = Some(Duration::ZERO);
        self.expires = Some(SystemTime::UNIX_EPOCH);
    }

    /// Whether browsers want `Secure` because of another attribute.
    #[inline]
    pub(crate) fn is_for_others(&self) -> bool {
        self.is_partitioned || self.same_site == Some(SameSite::None)
    }
}

impl<N: Into<Cow<'static, str>>, V: Into<Cow<'static, str>>> From<(N, V)> for Cookie {
    #[inline]
    fn from((name, value): (N, V)) -> Cookie {
        Cookie::new(name, value)
    }
}

impl From<&'static str> for Cookie {
    #[inline]
    fn from(name: &'static str) -> Cookie {
        Cookie::new(name, "")
    }
}

impl From<String> for Cookie {
    #[inline]
    fn from(name: String) -> Cookie {
        Cookie::new(name, "")
    }
}

impl From<Cow<'static, str>> for Cookie {
    #[inline]
    fn from(name: Cow<'static, str>) -> Cookie {
        Cookie::new(name, "")
    }
}

impl fmt::Display for Cookie {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)?;
        if self.http_only == Some(true) {
            f.write_str("; HttpOnly")?;
        }
        if let Some(same_site) = self.same_site {
            write!(f, "; SameSite={same_site:?}")?;
        }
        if self.is_partitioned {
            f.write_str("; Partitioned")?;
        }
        if self.secure.unwrap_or(self.is_for_others()) {
            f.write_str("; Secure")?;
        }
        if let Some(path) = &self.path {
            write!(f, "; Path={path}")?;
        }
        if let Some(domain) = &self.domain {
            // A dot in front has had no meaning since RFC 6265, section 5.2.3.
            write!(f, "; Domain={}", domain.strip_prefix('.').unwrap_or(domain))?;
        }
        if let Some(max_age) = self.max_age {
            write!(f, "; Max-Age={}", max_age.as_secs())?;
        }
        if let Some(time) = self.expires {
            write!(f, "; Expires={}", format_timestamp(time))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cookie {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cookie").field(&format_args!("{self}")).finish()
    }
}

#[cfg(test)]
mod tests {
    use cookie as referee;
    use proptest::{option, prelude::*};

    use super::*;

    fn same_site() -> impl Strategy<Value = (SameSite, referee::SameSite)> {
        prop_oneof![
            Just((SameSite::Strict, referee::SameSite::Strict)),
            Just((SameSite::Lax, referee::SameSite::Lax)),
            Just((SameSite::None, referee::SameSite::None)),
        ]
    }

    fn date(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn the_line_is_that_of_the_cookie_crate(
            (name, value) in ("[a-z_-]{1,8}", "[!-:<-~]{0,8}"),
            path in option::of("/[a-z/]{0,8}"),
            domain in option::of("\\.?[a-z]{1,8}(\\.[a-z]{2,4})?"),
            max_age in option::of(0..100_000_000u32),
            // Up to the year 9999, the last that the line can show.
            expires in option::of(0..253_402_300_800u64),
            secure in option::of(any::<bool>()),
            http_only in option::of(any::<bool>()),
            same_site in option::of(same_site()),
            partitioned: bool,
        ) {
            let mut ours = Cookie::build((name.clone(), value.clone())).partitioned(partitioned);
            let mut theirs = referee::Cookie::build((name, value)).partitioned(partitioned).build();
            if let Some(path) = path {
                ours = ours.path(path.clone());
                theirs.set_path(path);
            }
            if let Some(domain) = domain {
                ours = ours.domain(domain.clone());
                theirs.set_domain(domain);
            }
            if let Some(seconds) = max_age {
                ours = ours.max_age(Duration::from_secs(seconds.into()));
                theirs.set_max_age(referee::time::Duration::seconds(seconds.into()));
            }
            if let Some(seconds) = expires {
                ours = ours.expires(date(seconds));
                theirs.set_expires(referee::time::OffsetDateTime::from(date(seconds)));
            }
            // `Partitioned` with `secure(false)` contradicts itself, and `Exchange::set_cookie` refuses it.
            if let Some(secure) = secure.filter(|secure| *secure || !partitioned) {
                ours = ours.secure(secure);
                theirs.set_secure(secure);
            }
            if let Some(http_only) = http_only {
                ours = ours.http_only(http_only);
                theirs.set_http_only(http_only);
            }
            if let Some((own, other)) = same_site {
                ours = ours.same_site(own);
                theirs.set_same_site(other);
            }
            prop_assert_eq!(ours.to_string(), theirs.to_string());
        }
    }

    #[test]
    fn a_name_alone_is_a_cookie_without_a_value() {
        for cookie in [Cookie::build("a"), "a".to_owned().into(), Cow::Borrowed("a").into()] {
            assert_eq!((cookie.name(), cookie.value()), ("a", ""));
        }
    }
}
