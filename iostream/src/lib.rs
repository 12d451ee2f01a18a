#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accept;
mod admission;
mod buffer;
mod burst;
mod check;
mod closing;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod compat;
mod connect;
mod contain;
mod copy;
mod custom;
mod error;
mod file_part;
mod happy_eyeballs;
mod iostream;
mod marks;
pub mod memory;
pub mod netutil;
mod peer;
#[cfg(feature = "pipe")]
mod pipe;
pub mod proxy_protocol;
mod read;
pub mod resolver;
#[cfg(feature = "pipe")]
mod standard;
#[cfg(feature = "subprocess")]
mod subprocess;
mod sweep;
mod tcpclient;
mod tcpserver;
pub mod threads;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod unix;
mod write;

pub use bytes::Bytes;
pub use ioloop;
#[doc(no_inline)]
pub use ioloop::{
    IOLoop, JoinHandle, LoopHandle, PeriodicCallback, interval, run_in_executor, signal, sleep, sleep_until, spawn,
    sync, timeout, yield_now,
};
#[cfg(feature = "regex")]
pub use regex;

/// For the layers above. Not part of the stable interface.
#[doc(hidden)]
pub use crate::burst::Burst;
#[cfg(feature = "hyper")]
pub use crate::compat::hyper;
#[cfg(feature = "regex")]
pub use crate::read::ReadUntilRegexFuture;
#[cfg(feature = "subprocess")]
pub use crate::subprocess::Subprocess;
#[cfg(feature = "peer-cred")]
pub use crate::unix::PeerCred;
pub use crate::{
    admission::{Admission, Admitted, AdmittedEntry, ConnectionLimits, Refusal},
    closing::{BrokenFuture, ClosedFuture, PeerClosedFuture},
    copy::{Copied, CopyBidirectional, copy_bidirectional},
    custom::CustomTransport,
    error::{Error, Result},
    file_part::FilePart,
    iostream::IOStream,
    peer::Peer,
    read::{
        BufReader, Parsed, ReadBytesFuture, ReadIntoFuture, ReadSomeFuture, ReadUntilCloseFuture, ReadUntilFuture,
        ReadUntilIntoFuture, ReadWithFuture,
    },
    tcpclient::{HostFailure, TcpClient},
    tcpserver::{DrainReport, ServerHandle, ServerOptions, TcpServer},
    write::{WriteData, WriteFuture},
};
