#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access_log;
mod body;
mod built_headers;
#[cfg(feature = "client")]
pub mod client;
mod client_info;
#[cfg(feature = "http-body")]
mod compat;
mod date;
pub mod delegate;
mod draining;
mod error;
mod extensions;
mod field_lines;
#[cfg(feature = "gzip")]
pub mod gzip;
mod head_block;
mod headers;
mod http1;
mod http_types;
pub mod httputil;
mod into_response;
mod latency;
mod limits;
mod metrics;
#[cfg(feature = "multipart")]
pub mod multipart;
mod patience;
mod pool;
mod protocol;
mod request;
mod request_builder;
mod response;
mod server;
mod server_handle;
mod server_options;
mod server_state;
mod service;
mod span;
mod upgrade;
mod xheaders;

pub use bytes::Bytes;
pub use http::{Method, StatusCode, Version};
pub use iostream;
#[doc(no_inline)]
pub use iostream::{
    FilePart, IOLoop, IOStream, JoinHandle, LoopHandle, PeriodicCallback, interval, run_in_executor, signal, sleep,
    sleep_until, spawn, sync, threads, timeout, yield_now,
};

#[cfg(feature = "tower")]
pub use crate::compat::tower;
pub use crate::{
    access_log::{Access, AccessLog},
    body::{Body, BodyBuffer, BodyDriver, BodyStream, BodyWriter, Frame, Trailers},
    draining::Draining,
    error::{Error, Result},
    extensions::Extensions,
    headers::Headers,
    into_response::IntoResponse,
    latency::LatencyHistogram,
    limits::Limits,
    metrics::ServerMetrics,
    patience::{Patience, PatienceOver},
    protocol::Protocol,
    request::{ClientGone, Request},
    request_builder::RequestBuilder,
    response::Response,
    server::{HttpServer, serve_stream},
    server_handle::{DrainReport, ServerHandle},
    server_options::ServerOptions,
    service::{BoxService, Reply, Service},
    upgrade::UpgradedConnection,
    xheaders::XHeaders,
};

/// The codec by itself, for benchmarks, fuzzing and tests. Not part of the stable interface.
#[doc(hidden)]
pub mod codec {
    pub use crate::date::DateCache;
    pub use crate::http1::{
        chunked::*, encode::*, encode_request::*, framing::BodyFraming, head_parser::*, refusal::fault_of_server,
        request_head::*, request_parser::*, response_head::*, response_parser::*, target::TargetForm,
    };
}
