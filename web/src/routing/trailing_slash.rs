//! What becomes of paths that differ from a route's by a slash at their end.

/// What an application does with a path that no route has, when one has it with, or without, a slash at its end; see
/// [`Application::trailing_slash`](crate::Application::trailing_slash).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// `/a` is not `/a/`: such a path is unknown. The default.
    #[default]
    Strict,
    /// A route `/a/` redirects `/a` to itself.
    Add,
    /// A route `/a` redirects `/a/` to itself.
    Remove,
}

impl TrailingSlash {
    /// The path that is asked for instead of `path`.
    ///
    /// None of one that begins with two slashes, or a slash and a backslash: as a location that is another host.
    #[inline]
    pub(crate) fn other(self, path: &str) -> Option<String> {
        if !path.starts_with('/') || path[1..].starts_with(['/', '\\']) {
            return None;
        }
        match self {
            TrailingSlash::Strict => None,
            TrailingSlash::Add => (!path.ends_with('/')).then(|| format!("{path}/")),
            TrailingSlash::Remove => path.strip_suffix('/').filter(|path| !path.is_empty()).map(str::to_owned),
        }
    }
}
