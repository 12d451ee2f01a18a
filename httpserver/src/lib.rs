#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod date;
mod error;
mod headers;
mod http1;
mod into_response;
mod limits;
mod pool;
mod request;
mod response;
mod response_writer;
mod server;
mod service;
mod span;

pub use bytes::Bytes;
pub use http::{Method, StatusCode, Version};
pub use iostream;
#[doc(no_inline)]
pub use iostream::{
    IOLoop, IOStream, JoinHandle, LoopHandle, PeriodicCallback, interval, run_in_executor, signal, sleep, sleep_until,
    spawn, sync, timeout, yield_now,
};

pub use crate::{
    body::Body,
    error::{Error, Result},
    headers::Headers,
    into_response::IntoResponse,
    limits::Limits,
    request::{ClientGone, Request},
    response::Response,
    response_writer::ResponseWriter,
    server::{DrainReport, HttpServer, serve_stream},
    service::{Reply, Service},
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
