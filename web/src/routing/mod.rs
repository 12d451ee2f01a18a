//! What stands around the router: what an application tells its handlers, and how URLs are made.

mod groups;
mod home;
mod hosts;
mod names;
#[cfg(feature = "regex")]
mod path_regex;
mod redirect;
mod state;
mod time_limit;
mod trailing_slash;
mod url;
mod url_arguments;

#[cfg(feature = "regex")]
pub(crate) use self::path_regex::PathRegex;
pub(crate) use self::{
    home::{Home, RouteInfo},
    hosts::{HostPattern, Hosts},
    names::UrlPattern,
    redirect::Redirect,
    time_limit::within,
    url::build_path,
};
pub use self::{
    names::RouteNames,
    state::{Needs, with_state},
    trailing_slash::TrailingSlash,
    url_arguments::UrlArguments,
};
