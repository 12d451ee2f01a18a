//! What a page of an error does not repeat: who can look at it is not always who has sent the request.

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

/// The value of a header, if it may be shown.
#[inline]
pub(super) fn value<'v>(name: &str, value: &'v str) -> &'v str {
    if is_secret(name) { MASK } else { value }
}

/// A target, without the values of arguments that have the name of a secret.
#[inline]
pub(super) fn target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let arguments = query.split('&').map(|argument| match argument.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
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
        assert_eq!(target("/a?b=1&access_token=x&c&password="), "/a?b=1&access_token=•••&c&password=•••");
        assert_eq!(target("/token"), "/token");
    }
}
