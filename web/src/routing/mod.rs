//! What stands around the router: what an application tells its handlers, and how URLs are made.

mod groups;
mod home;
mod hosts;
mod names;
mod redirect;
mod state;
mod time_limit;
mod trailing_slash;
mod url;
mod url_arguments;

pub(crate) use self::{
    home::{Home, RouteInfo},
    hosts::{HostPattern, Hosts},
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
