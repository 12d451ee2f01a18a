use std::{
    fmt::{self, Write},
    time::{Duration, Instant, SystemTime},
};

use cookie::Cookie;
use httpserver::IOLoop;

/// The cookies of a client, kept and sent by the rules of RFC 6265, section 5.
///
/// One that is `Secure` is sent all the same: browsers trust `localhost`, and nothing here leaves the process.
#[derive(Default)]
pub(super) struct CookieJar(Vec<Kept>);

/// A cookie that is kept.
pub(super) struct Kept {
    pub(super) name: String,
    /// As it was sent, quotes included.
    pub(super) value: String,
    /// Without a leading dot.
    domain: String,
    /// Whether hosts below `domain` are sent it, too.
    has_subdomains: bool,
    path: String,
    /// On the loop's clock. `None` until the client is gone.
    expires: Option<Instant>,
}

impl CookieJar {
    /// Takes in a `Set-Cookie` line of a response to a request for `path` at `host`. A line that a browser would not take is
    /// ignored.
    pub(super) fn set(&mut self, host: &str, path: &str, line: &str) {
        let Ok(cookie) = Cookie::parse(line) else { return };
        let host = without_port(host);
        let domain = cookie.domain().map(str::to_ascii_lowercase);
        if domain.as_deref().is_some_and(|domain| !is_within(&host, domain)) {
            return;
        }
        let kept = Kept {
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            has_subdomains: domain.is_some(),
            domain: domain.unwrap_or(host),
            path: cookie.path().filter(|path| path.starts_with('/')).unwrap_or_else(|| directory(path)).to_owned(),
            expires: None,
        };
        self.0.retain(|known| !known.is_same(&kept));
        match lifetime(&cookie) {
            None => self.0.push(kept),
            Some(Duration::ZERO) => {}
            Some(lifetime) => self.0.push(Kept { expires: IOLoop::current().time().checked_add(lifetime), ..kept }),
        }
    }

    /// The cookies for a request for `path` at `host`, longer paths first.
    pub(super) fn matching(&self, host: &str, path: &str) -> impl Iterator<Item = &Kept> {
        let (host, now) = (without_port(host), IOLoop::current().time());
        let mut matching: Vec<&Kept> = self.0.iter().filter(|cookie| cookie.matches(&host, path, now)).collect();
        // Stable, so that among equal ones the earliest comes first.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        matching.into_iter()
    }

    /// The `Cookie` line of such a request, without its name. Empty when there are none.
    pub(super) fn line(&self, host: &str, path: &str) -> String {
        let mut line = String::new();
        for cookie in self.matching(host, path) {
            let separator = if line.is_empty() { "" } else { "; " };
            let _ = write!(line, "{separator}{}={}", cookie.name, cookie.value);
        }
        line
    }
}

impl Kept {
    fn is_same(&self, other: &Kept) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn matches(&self, host: &str, path: &str, now: Instant) -> bool {
        let is_for_host = host == self.domain || self.has_subdomains && is_within(host, &self.domain);
        is_for_host && is_below(path, &self.path) && self.expires.is_none_or(|expires| now < expires)
    }
}

/// How long a cookie is to be kept from now on; `None` for the life of the client. `Max-Age` comes before `Expires`.
fn lifetime(cookie: &Cookie<'_>) -> Option<Duration> {
    if let Some(age) = cookie.max_age() {
        return Some(Duration::try_from(age).unwrap_or(Duration::ZERO));
    }
    let expires = SystemTime::from(cookie.expires_datetime()?);
    // The wall clock is real. From here on the time is that of the loop.
    Some(expires.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// Whether `host` is `domain` or below it (RFC 6265, section 5.1.3).
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a cookie of the path `cookie` is sent to `path` (RFC 6265, section 5.1.4).
fn is_below(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie).is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// The path of a cookie that names none: that of the request, without what follows its last slash.
fn directory(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

fn without_port(host: &str) -> String {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    host.to_ascii_lowercase()
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|cookie| (&cookie.name, &cookie.value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[&str], host: &str, path: &str) -> String {
        let mut jar = CookieJar::default();
        for line in lines {
            jar.set("www.example.com:8080", "/shop/cart", line);
        }
        jar.line(host, path)
    }

    #[test]
    fn cookies_go_to_their_host_alone_unless_they_name_a_domain() {
        let lines = ["own=1; Path=/", "wide=2; Path=/; Domain=Example.com", "dot=3; Path=/; Domain=.example.com"];
        assert_eq!(sent(&lines, "www.example.com", "/"), "own=1; wide=2; dot=3");
        assert_eq!(sent(&lines, "shop.example.com", "/"), "wide=2; dot=3");
        assert_eq!(sent(&lines, "notexample.com", "/"), "");
        assert_eq!(sent(&["evil=1; Domain=example.org; Path=/"], "example.org", "/"), "");
    }

    #[test]
    fn cookies_go_to_their_path_and_what_is_below() {
        assert_eq!(sent(&["a=1"], "www.example.com", "/shop"), "a=1", "that of the request without its last part");
        assert_eq!(sent(&["a=1"], "www.example.com", "/shop/till"), "a=1");
        assert_eq!(sent(&["a=1"], "www.example.com", "/shopping"), "");
        let lines = ["root=1; Path=/", "deep=2; Path=/shop/", "odd=3; Path=elsewhere"];
        assert_eq!(sent(&lines, "www.example.com", "/shop/cart"), "deep=2; odd=3; root=1", "long paths first");
        assert_eq!(sent(&lines, "www.example.com", "/shop"), "odd=3; root=1");
    }

    #[test]
    fn a_cookie_is_replaced_by_one_of_its_name_domain_and_path() {
        let lines = ["a=1; Path=/", "a=2; Path=/shop", "a=3; Path=/"];
        assert_eq!(sent(&lines, "www.example.com", "/shop"), "a=2; a=3");
    }

    #[test]
    fn a_cookie_that_has_expired_is_forgotten() {
        let past = "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        for gone in ["a=; Path=/; Max-Age=0", "a=; Path=/; Max-Age=-5", past] {
            assert_eq!(sent(&["a=1; Path=/", gone], "www.example.com", "/"), "", "{gone}");
        }
        let kept = "a=2; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(sent(&["a=1; Path=/", kept], "www.example.com", "/"), "a=2");
        assert_eq!(sent(&["a=1; Path=/; Expires=Fri, 01 Jan 2100 00:00:00 GMT"], "www.example.com", "/"), "a=1");
    }

    #[test]
    fn values_stay_as_they_were_sent() {
        assert_eq!(
            sent(&[r#"a="two words\073"; Path=/; HttpOnly; Secure"#], "www.example.com", "/"),
            r#"a="two words\073""#
        );
        assert_eq!(sent(&["no cookie", "=x", ""], "www.example.com", "/"), "");
    }
}
