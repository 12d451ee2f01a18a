use std::{
    fmt::{self, Write},
    time::{Duration, Instant, SystemTime},
};

use httpserver::{IOLoop, httputil::parse_timestamp};

/// The cookies of a client, kept and sent by the rules of RFC 6265, section 5.
///
/// One that is `Secure` is sent all the same: browsers trust `localhost`, and nothing here leaves the process.
#[derive(Default)]
pub(super) struct CookieJar(Vec<Kept>);

/// A cookie that is kept.
struct Kept {
    name: String,
    /// As it was sent, quotes included.
    value: String,
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
        let Some(line) = Line::parse(line) else { return };
        let host = without_port(host);
        let domain = line.domain.map(str::to_ascii_lowercase);
        if domain.as_deref().is_some_and(|domain| !is_within(&host, domain)) {
            return;
        }
        let kept = Kept {
            name: line.name.to_owned(),
            value: line.value.to_owned(),
            has_subdomains: domain.is_some(),
            domain: domain.unwrap_or(host),
            path: line.path.unwrap_or_else(|| directory(path)).to_owned(),
            expires: None,
        };
        self.0.retain(|known| !known.is_same(&kept));
        match line.lifetime() {
            None => self.0.push(kept),
            Some(Duration::ZERO) => {}
            Some(lifetime) => self.0.push(Kept { expires: IOLoop::current().time().checked_add(lifetime), ..kept }),
        }
    }

    /// The cookies for a request for `path` at `host`, longer paths first.
    fn matching(&self, host: &str, path: &str) -> impl Iterator<Item = &Kept> {
        let (host, now) = (without_port(host), IOLoop::current().time());
        let mut matching: Vec<&Kept> = self.0.iter().filter(|cookie| cookie.matches(&host, path, now)).collect();
        // Stable, so that among equal ones the earliest comes first.
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        matching.into_iter()
    }

    /// The value of the first of them that has this name, as it was set.
    pub(super) fn value(&self, host: &str, path: &str, name: &str) -> Option<String> {
        self.matching(host, path).find(|cookie| cookie.name == name).map(|cookie| cookie.value.clone())
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

/// A `Set-Cookie` line, taken apart by RFC 6265, section 5.2. What says nothing of whom the cookie is sent to is left out.
#[derive(Default)]
struct Line<'a> {
    name: &'a str,
    value: &'a str,
    /// Without a leading dot.
    domain: Option<&'a str>,
    /// Begins with a slash.
    path: Option<&'a str>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
}

impl<'a> Line<'a> {
    /// `None` for one without a name.
    fn parse(text: &'a str) -> Option<Line<'a>> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let mut line = Line { name: name.trim(), value: value.trim(), ..Line::default() };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            line.take(name.trim(), value.trim());
        }
        (!line.name.is_empty()).then_some(line)
    }

    /// Takes in an attribute. The last one of a name counts.
    fn take(&mut self, name: &str, value: &'a str) {
        if name.eq_ignore_ascii_case("domain") && !value.is_empty() {
            self.domain = Some(value.strip_prefix('.').unwrap_or(value));
        } else if name.eq_ignore_ascii_case("path") {
            self.path = Some(value).filter(|path| path.starts_with('/'));
        } else if name.eq_ignore_ascii_case("max-age") {
            self.max_age = max_age(value).or(self.max_age);
        } else if name.eq_ignore_ascii_case("expires") {
            self.expires = parse_timestamp(value.as_bytes()).or(self.expires);
        }
    }

    /// How long the cookie is to be kept from now on; `None` for the life of the client. `Max-Age` comes before `Expires`.
    fn lifetime(&self) -> Option<Duration> {
        // The wall clock is real. From here on the time is that of the loop.
        self.max_age.or_else(|| Some(self.expires?.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)))
    }
}

/// The seconds of a `Max-Age`; `None` where they are none. Negative ones are over.
fn max_age(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(Duration::ZERO);
    }
    // Digits alone, so it can only be too much.
    Some(digits.parse().map_or(Duration::MAX, Duration::from_secs))
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
    use proptest::prelude::*;

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

    /// Lines of parts that mean something, or nearly.
    fn line() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["Path", "path", "DOMAIN", "expires", "Secure", "HttpOnly", "x", ""]);
        let dates = prop::sample::select(&[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Fri, 01 Jan 2100 00:00:00 GMT",
        ]);
        let value = prop_oneof![dates.prop_map(str::to_owned), "[./a=\" -]{0,4}"];
        let attribute = (name, prop::sample::select(&["", "=", " = "]), value);
        let attribute = prop_oneof![
            attribute.prop_map(|(name, sign, value)| format!("; {name}{sign}{value}")),
            // Without a digit the crate takes it for a very long time, and RFC 6265, section 5.2.2, for nothing.
            "; ?[mM]ax-[aA]ge= ?-?[0-9]{1,21}x?",
        ];
        ("[a= \"]{0,6}", prop::collection::vec(attribute, 0..6)).prop_map(|(pair, rest)| pair + &rest.concat())
    }

    proptest! {
        #[test]
        fn lines_are_read_as_by_the_cookie_crate(text in line()) {
            let (line, referee) = (Line::parse(&text), cookie::Cookie::parse(text.as_str()));
            prop_assert_eq!(line.is_some(), referee.is_ok());
            let (Some(line), Ok(referee)) = (line, referee) else { return Ok(()) };
            prop_assert_eq!((line.name, line.value), (referee.name(), referee.value()));
            prop_assert_eq!(line.domain, referee.domain());
            // What the crate takes as it is, and leaves to its user.
            prop_assert_eq!(line.path, referee.path().filter(|path| path.starts_with('/')));
            let latest = Duration::from_secs(i64::MAX.unsigned_abs());
            let max_age = referee.max_age().map(|age| Duration::try_from(age).expect("none is negative"));
            prop_assert_eq!(line.max_age.map(|age| age.min(latest)), max_age);
            prop_assert_eq!(line.expires, referee.expires_datetime().map(SystemTime::from));
        }
    }
}
