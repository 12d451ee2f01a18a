//! Where the text comes from.

use std::fmt;

/// The part of a request that something is missing from, or malformed in: what [`Error::MissingArgument`] and
/// [`Error::InvalidArgument`] tell with the name.
///
/// [`Error::MissingArgument`]: crate::Error::MissingArgument
/// [`Error::InvalidArgument`]: crate::Error::InvalidArgument
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A parameter of the path.
    Path,
    /// A parameter of the host.
    Host,
    /// An argument of the query or of a form.
    Argument,
    /// A header of the request.
    Header,
    /// A cookie of the request.
    Cookie,
}

impl fmt::Display for Source {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Path => "path parameter",
            Source::Host => "host parameter",
            Source::Argument => "argument",
            Source::Header => "header",
            Source::Cookie => "cookie",
        })
    }
}
