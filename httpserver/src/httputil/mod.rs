//! What stands in heads and bodies, taken apart and put together: arguments and forms, cookies, ranges, dates and URLs.
//!
//! Everything here works on plain bytes and needs neither a request nor a connection. [`Request`](crate::Request) has
//! methods for the usual cases: [`query_arguments`](crate::Request::query_arguments), [`form`](crate::Request::form),
//! [`cookie`](crate::Request::cookie).
//!
//! | to | use |
//! |---|---|
//! | read a query string or an urlencoded form | [`Arguments`] |
//! | write one | [`encode_arguments`], [`url_concat`] |
//! | read a `Cookie` line | [`parse_cookie`] |
//! | read a `Range` line | [`parse_range`], [`parse_ranges`] |
//! | write and read the date of `Last-Modified`, `Expires` and the like | [`format_timestamp`], [`parse_timestamp`] |
//!
//! Names are Tornado's where a function does the same. What differs is said where it does.

mod arguments;
mod cookies;
mod form;
mod range;
mod timestamp;
mod url;

pub use arguments::{ArgumentIndex, Arguments, MAX_ARGUMENTS};
pub use cookies::parse_cookie;
pub use range::{ByteRange, ByteRanges, parse_range, parse_ranges};
pub use timestamp::{format_timestamp, parse_timestamp};
pub use url::{encode_arguments, url_concat};
