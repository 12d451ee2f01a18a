//! Who is asking, and what browsers are told about it.
//!
//! | to | there is | feature |
//! |---|---|---|
//! | keep a value with the client that it cannot forge | `CookieSecret`, `Exchange::set_signed_cookie` | `signed-cookies` |
//! | remember values of a client from one request to the next | `Sessions`, `Exchange::session` | `sessions` |
//! | refuse the forms of other sites, by tokens | `Xsrf`, `Exchange::xsrf_token` | `xsrf` |
//! | refuse them by what browsers say about their origin | [`CrossOriginProtection`] | |
//! | know who is asking | [`Application::current_user`], [`Exchange::current_user`] | |
//! | keep out those who have not signed in | [`LoginRequired`], [`safe_next`] | |
//! | let pages of other origins read answers | [`Cors`] | |
//! | have browsers be careful | [`SecurityHeaders`] | |
//! | find the traces of a request | [`RequestId`], [`Exchange::request_id`] | |
//! | slow down clients that ask too often | [`RateLimit`] | |
//!
//! [`Application::current_user`]: crate::Application::current_user
//! [`Exchange::current_user`]: crate::Exchange::current_user
//! [`Exchange::request_id`]: crate::Exchange::request_id

mod cors;
mod cross_origin;
mod login;
#[cfg(any(feature = "sessions", feature = "xsrf"))]
mod random;
mod rate_limit;
mod request_id;
mod security_headers;
#[cfg(feature = "sessions")]
mod sessions;
#[cfg(feature = "signed-cookies")]
mod signed_cookies;
#[cfg(any(feature = "signed-cookies", feature = "xsrf"))]
pub(crate) mod wall_clock;
#[cfg(feature = "xsrf")]
mod xsrf;

use httpserver::Method;

pub(crate) use self::request_id::{InLog, id_of as request_id};
#[cfg(feature = "sessions")]
pub use self::sessions::{MemoryStore, Session, SessionStore, Sessions};
#[cfg(feature = "signed-cookies")]
pub use self::signed_cookies::CookieSecret;
#[cfg(feature = "xsrf")]
pub use self::xsrf::Xsrf;
#[cfg(all(feature = "testing", feature = "xsrf"))]
pub(crate) use self::xsrf::{is_token as is_xsrf_token, new_token as new_xsrf_token};
pub use self::{
    cors::Cors,
    cross_origin::CrossOriginProtection,
    login::{LoginRequired, safe_next},
    rate_limit::RateLimit,
    request_id::RequestId,
    security_headers::{Frames, SecurityHeaders},
};

/// Whether requests of this method change nothing (RFC 9110, section 9.2.1), so that it does not matter who makes a browser
/// send them.
#[inline]
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}
