use crate::{Limits, httputil::MAX_ARGUMENTS};

/// What a form may hold. Everything is on by default.
///
/// | field | default | answer when exceeded |
/// |---|---|---|
/// | `max_parts` | 100 | 400 |
/// | `max_part_head` | 10 KiB | 400 |
/// | `max_part`, and of it `max_field`, `max_file` | no limit but that of the body | 413 |
/// | `max_total` | no limit but that of the body | 413 |
/// | `max_collected` | 1 MiB | 413 |
/// | `max_arguments` | 1,000 | 400 |
///
/// The server's own [`Limits::max_body`] holds in any case.
///
/// # Examples
///
/// ```
/// use httpserver::multipart::FormLimits;
///
/// let limits = FormLimits::default().max_parts(10).max_part(5 * 1024 * 1024);
/// assert_eq!(limits.max_part_head, 10 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormLimits {
    /// Most parts in a multipart form. Default 100, as in Tornado.
    pub max_parts: usize,
    /// Longest header of a part in bytes. Default 10 KiB, as in Tornado. It is held in memory. A value above 32 KiB counts
    /// as 32 KiB.
    pub max_part_head: usize,
    /// Longest content of a part in bytes.
    pub max_part: u64,
    /// Longest content of a part without a name of a file in bytes; [`max_part`](FormLimits::max_part) holds as well.
    pub max_field: u64,
    /// Longest content of a part with a name of a file in bytes; [`max_part`](FormLimits::max_part) holds as well.
    pub max_file: u64,
    /// Longest multipart body in bytes: contents, headers, boundaries and what stands behind the last.
    pub max_total: u64,
    /// Most bytes that a form which is collected holds in memory. Default 1 MiB. Forms that are read part by part do not
    /// have this limit.
    pub max_collected: usize,
    /// Most arguments in an urlencoded form that is read by [`FormData`](super::FormData). Default 1,000.
    pub max_arguments: usize,
}

impl Default for FormLimits {
    #[inline]
    fn default() -> Self {
        FormLimits {
            max_parts: 100,
            max_part_head: 10 * 1024,
            max_part: u64::MAX,
            max_field: u64::MAX,
            max_file: u64::MAX,
            max_total: u64::MAX,
            max_collected: Limits::DEFAULT_MAX_COLLECTED_BODY,
            max_arguments: MAX_ARGUMENTS,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $ty:ty;)*) => {
        impl FormLimits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](FormLimits::", stringify!($field), ").")]
                #[must_use]
                #[inline]
                pub fn $field(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    max_parts: usize;
    max_part_head: usize;
    max_part: u64;
    max_field: u64;
    max_file: u64;
    max_total: u64;
    max_collected: usize;
    max_arguments: usize;
}
