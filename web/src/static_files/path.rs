//! From the path of a request to a path below the directory.

use httpserver::StatusCode;

use super::forbidden;
use crate::{
    error::{HttpError, Result},
    exchange::Exchange,
};

/// The name of the route's parameter, see `Application::static_handler`.
const PARAMETER: &str = "path";

/// Where public facts about a site are found, by RFC 8615.
const WELL_KNOWN: &str = ".well-known";

/// The file's path below the directory, decoded; empty for the directory itself. What the kernel would refuse anyway is not
/// tried.
///
/// # Errors
///
/// 403 for a path that leads out, 404 for one that no file can have, and for dot files unless they are served.
#[inline]
pub(super) fn relative(exchange: &Exchange, dot_files_are_served: bool) -> Result<String> {
    if !exchange.has_path_param(PARAMETER) {
        return Ok(String::new());
    }
    let path: String = exchange.path(PARAMETER)?;
    check(&path, dot_files_are_served)?;
    Ok(path)
}

/// Whether a path may be looked for below the directory.
///
/// # Errors
///
/// As [`relative`].
#[inline]
pub(super) fn check(path: &str, dot_files_are_served: bool) -> Result<()> {
    if path.contains('\0') {
        return Err(HttpError::new(StatusCode::NOT_FOUND).into());
    }
    if path.starts_with('/') || path.split('/').any(|segment| segment == "..") {
        return Err(forbidden("outside of the directory"));
    }
    if !dot_files_are_served && is_hidden(path) {
        return Err(HttpError::new(StatusCode::NOT_FOUND).log("a dot file").into());
    }
    Ok(())
}

/// The request's target, with a slash at the end of its path. More than one slash at the beginning would lead to another
/// host.
#[inline]
pub(super) fn with_slash(exchange: &Exchange) -> String {
    let path = exchange.request().path().trim_start_matches(['/', '\\']);
    match exchange.request().query() {
        Some(query) => format!("/{path}/?{query}"),
        None => format!("/{path}/"),
    }
}

/// Whether a segment of the path begins with a dot. `.` itself is the directory it stands in.
#[inline]
fn is_hidden(path: &str) -> bool {
    let path = path.strip_prefix(WELL_KNOWN).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    path.split('/').any(|segment| segment.len() > 1 && segment.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

    #[test]
    fn dot_files_are_hidden_at_every_depth() {
        for hidden in
            [".env", "a/.git/config", ".git", "a/.b/", "..a", ".well-known/.x", "a/.well-known/x", ".well-knownx"]
        {
            assert!(is_hidden(hidden), "{hidden}");
        }
        for shown in ["", "a.b", "a/b.", "./a", "a/./b", ".well-known", ".well-known/security.txt"] {
            assert!(!is_hidden(shown), "{shown}");
        }
    }
}
