#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access_log;
mod answering;
mod application;
mod call;
#[cfg(feature = "comet")]
pub mod comet;
mod conditions;
mod contained;
#[cfg(feature = "debug")]
pub mod debug;
mod disposition;
mod early;
mod endpoint;
mod error;
mod error_page;
mod escape;
mod etag;
pub mod event_stream;
mod exchange;
mod fixed_paths;
mod from_text;
mod handler;
mod input;
mod jitter;
#[cfg(any(feature = "compression", feature = "websocket"))]
mod kept;
#[cfg(feature = "locales")]
pub mod locale;
pub mod metrics;
mod mounted;
mod origin;
mod path_params;
mod pattern;
mod request_handler;
mod route;
mod router;
mod routing;
mod scope;
pub mod security;
mod trace;
mod wrap;

#[cfg(any(feature = "compression", feature = "static"))]
mod accept_encoding;
#[cfg(feature = "compression")]
mod compression;
#[cfg(feature = "cookies")]
mod set_cookie;
#[cfg(feature = "static")]
mod static_files;
#[cfg(feature = "templates")]
pub mod templates;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use access_log::AccessLogFormat;
pub use application::Application;
#[cfg(feature = "compression")]
pub use compression::Compress;
pub use error::{Error, HttpError, Result};
pub use escape::xhtml_escape;
pub use exchange::{Content, Exchange, WhileConnected};
pub use from_text::FromText;
pub use handler::Handler;
pub use input::{Source, TempFile, safe_file_name};
pub use request_handler::RequestHandler;
pub use route::Route;
pub use routing::{Needs, RouteNames, TrailingSlash, UrlArguments, with_state};
#[cfg(feature = "cookies")]
pub use set_cookie::{Cookie, SameSite};
#[cfg(feature = "static-urls")]
pub use static_files::StaticUrls;
#[cfg(feature = "static")]
pub use static_files::{NamedFile, StaticFiles};
pub use trace::Trace;
pub use wrap::{Next, Wrap};

pub use httpserver;
pub use httpserver::httputil::{Arguments, MAX_ARGUMENTS};
#[doc(no_inline)]
pub use httpserver::iostream::ioloop::Printable;
#[cfg(feature = "multipart")]
#[doc(no_inline)]
pub use httpserver::multipart::{FormData, FormFile, FormLimits, Multipart, Part};
#[doc(no_inline)]
pub use httpserver::{
    Bytes, Extensions, HttpServer, IOLoop, JoinHandle, Limits, LoopHandle, Method, PeriodicCallback, Protocol, Request,
    Response, ServerHandle, ServerOptions, StatusCode, XHeaders, interval, run_in_executor, signal, sleep, sleep_until,
    spawn, sync, threads, timeout, yield_now,
};
