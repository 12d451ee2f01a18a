use std::{io, net::SocketAddr};

use peers_work::streams::Service;

use super::client;

/// One row of the table.
pub(crate) struct StreamRow {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What an operation is.
    pub(crate) per: &'static str,
    pub(crate) service: Service,
    pub(crate) operations: usize,
    pub(crate) drive: fn(SocketAddr, usize) -> io::Result<()>,
    /// Whether it is measured by blocking calls too.
    pub(crate) has_plain: bool,
}

pub(crate) const ROWS: [StreamRow; 7] = [
    StreamRow {
        name: "echo-1",
        title: "echo of 64 B, 1 connection",
        per: "echo",
        service: Service::Echo,
        operations: 40_000,
        drive: client::echo_alone,
        has_plain: false,
    },
    StreamRow {
        name: "echo-256",
        title: "echo of 64 B, 256 connections",
        per: "echo",
        service: Service::Echo,
        operations: 256 * 400,
        drive: client::echo_many,
        has_plain: false,
    },
    StreamRow {
        name: "lines",
        title: "lines of 64 B by `read_until`",
        per: "line",
        service: Service::Lines,
        operations: 4 << 20,
        drive: client::lines,
        has_plain: false,
    },
    StreamRow {
        name: "receive",
        title: "1 GiB received",
        per: "MiB",
        service: Service::Sink,
        operations: 1024,
        drive: client::send,
        has_plain: true,
    },
    StreamRow {
        name: "send",
        title: "1 GiB sent",
        per: "MiB",
        service: Service::Source,
        operations: 1024,
        drive: client::receive,
        has_plain: true,
    },
    StreamRow {
        name: "accept",
        title: "connections accepted and closed",
        per: "connection",
        service: Service::Close,
        operations: 10_000,
        drive: client::connect_often,
        has_plain: false,
    },
    StreamRow {
        name: "batch",
        title: "16 writes of 1 KiB, flushed together",
        per: "batch",
        service: Service::Batch,
        operations: 20_000,
        drive: client::batches,
        has_plain: false,
    },
];
