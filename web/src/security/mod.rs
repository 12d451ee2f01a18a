//! Who is asking, and what browsers are told about it.
//!
//! | to | there is | feature |
//! |---|---|---|
//! | keep a value with the client that it cannot forge | [`CookieSecret`], [`Exchange::set_signed_cookie`] | `signed-cookies` |
//!
//! [`Exchange::set_signed_cookie`]: crate::Exchange::set_signed_cookie

#[cfg(feature = "signed-cookies")]
mod signed_cookies;
#[cfg(feature = "signed-cookies")]
mod wall_clock;

#[cfg(feature = "signed-cookies")]
pub use self::signed_cookies::CookieSecret;
