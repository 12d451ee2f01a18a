//! What a page of an error does not repeat: who can look at it is not always who has sent the request.

use percent_encoding::percent_decode_str;

/// What stands for a value that is not shown.
const MASK: &str = "•••";

/// Whether a header or argument of this name holds what others could use: a password, a token, a session.
#[inline]
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts =
        ["auth", "cookie", "token", "secret", "passw", "session", "key", "csrf", "xsrf", "signature", "credential"];
    parts.iter().any(|part| name.contains(part))
}

/// The value of a header or parameter, if it may be shown.
#[inline]
pub(super) fn value<'v>(name: &str, value: &'v str) -> &'v str {
    if is_secret(name) { MASK } else { value }
}

/// The value of a header. A URL in it, such as that of the page before, has arguments too.
#[inline]
pub(super) fn header(name: &str, text: &str) -> String {
    let is_url = text.starts_with('/') || text.contains("://");
    if is_url { url(value(name, text)) } else { value(name, text).to_owned() }
}

/// A target, without the values of arguments and of parameters of the path that have the name of a secret.
#[inline]
pub(super) fn target(target: &str, parameters: &[(String, String)]) -> String {
    let end = target.find('?').unwrap_or(target.len());
    let mut path = target[..end].to_owned();
    for (_, text) in parameters.iter().filter(|(name, text)| is_secret(name) && !text.is_empty()) {
        path = path.replace(text, MASK);
    }
    path + &url(&target[end..])
}

/// A URL without the values of arguments that have the name of a secret, however that is spelt.
#[inline]
fn url(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let arguments = query.split('&').map(|argument| match argument.split_once('=') {
        Some((name, _)) if is_secret(&percent_decode_str(name).decode_utf8_lossy()) => format!("{name}={MASK}"),
        _ => argument.to_owned(),
    });
    format!("{path}?{}", arguments.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_names() {
        for secret in
            ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Xsrftoken", "_xsrf", "new_password"]
        {
            assert_eq!(value(secret, "x"), MASK, "{secret}");
        }
        assert_eq!(value("Accept", "x"), "x");
        let target = |text: &str| target(text, &[("token".into(), "x1".into()), ("page".into(), "2".into())]);
        assert_eq!(target("/a?b=1&access_token=x&c&password="), "/a?b=1&access_token=•••&c&password=•••");
        assert_eq!(target("/a?%74oken=x&t%6Fken=x&a=%74oken"), "/a?%74oken=•••&t%6Fken=•••&a=%74oken");
        assert_eq!(target("/token"), "/token");
        assert_eq!(target("/reset/x1/2?a=x1"), "/reset/•••/2?a=x1");
        assert_eq!(header("Referer", "https://a.example/?token=x&b=1"), "https://a.example/?token=•••&b=1");
        assert_eq!(header("Cookie", "https://a.example/?a=b"), MASK);
        assert_eq!(header("Accept", "a/b?token=c"), "a/b?token=c");
    }
}
