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
    /// Who can do it besides ours and tokio.
    pub(crate) others: &'static [&'static str],
}

impl StreamRow {
    /// Whether this peer is asked.
    pub(crate) fn has(&self, peer: &str) -> bool {
        peer == "ours" || peer == "tokio" || self.others.contains(&peer)
    }
}

const ALL: &[&str] = &["smol", "monoio"];

/// With the same by blocking calls.
const AND_PLAIN: &[&str] = &["smol", "monoio", "plain"];

pub(crate) const ROWS: [StreamRow; 9] = [
    StreamRow {
        name: "echo-1",
        title: "echo of 64 B, 1 connection",
        per: "echo",
        service: Service::Echo,
        operations: 40_000,
        drive: client::echo_alone,
        others: ALL,
    },
    StreamRow {
        name: "echo-256",
        title: "echo of 64 B, 256 connections",
        per: "echo",
        service: Service::Echo,
        operations: 256 * 400,
        drive: client::echo_many,
        others: ALL,
    },
    StreamRow {
        name: "lines",
        title: "lines of 64 B by `read_until`",
        per: "line",
        service: Service::Lines,
        operations: 4 << 20,
        drive: client::lines,
        others: ALL,
    },
    StreamRow {
        name: "receive",
        title: "1 GiB received",
        per: "MiB",
        service: Service::Sink,
        operations: 1024,
        drive: client::send,
        others: AND_PLAIN,
    },
    StreamRow {
        name: "send",
        title: "1 GiB sent",
        per: "MiB",
        service: Service::Source,
        operations: 1024,
        drive: client::receive,
        others: AND_PLAIN,
    },
    StreamRow {
        name: "accept",
        title: "connections accepted and closed",
        per: "connection",
        service: Service::Close,
        operations: 10_000,
        drive: client::connect_often,
        others: ALL,
    },
    StreamRow {
        name: "batch",
        title: "16 writes of 1 KiB, flushed together",
        per: "batch",
        service: Service::Batch,
        operations: 20_000,
        drive: client::batches,
        others: ALL,
    },
    StreamRow {
        name: "tls-echo",
        title: "echo of 64 B over TLS, 1 connection",
        per: "echo",
        service: Service::TlsEcho,
        operations: 40_000,
        drive: client::tls_echo,
        others: &[],
    },
    StreamRow {
        name: "tls-receive",
        title: "1 GiB received over TLS",
        per: "MiB",
        service: Service::TlsSink,
        operations: 1024,
        drive: client::tls_send,
        others: &[],
    },
];
