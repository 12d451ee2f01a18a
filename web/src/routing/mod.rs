//! What stands around the router: what an application tells its handlers, and how URLs are made.

mod home;
mod names;
mod state;
mod url;
mod url_arguments;

pub(crate) use self::{
    home::{Home, RouteInfo},
    url::build_path,
};
pub use self::{
    names::RouteNames,
    state::{Needs, with_state},
    url_arguments::UrlArguments,
};
