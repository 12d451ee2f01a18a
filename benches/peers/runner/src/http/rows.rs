use std::{io, net::SocketAddr};

use benches::load::{Request, Session, Stop, reconnect};

use super::tls_client::TlsClient;

/// One row of the table of processor time.
pub(crate) struct HttpRow {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) request: fn() -> Request,
    pub(crate) load: Load,
    /// Requests in a round to each server: enough for a third of a second.
    pub(crate) requests: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Load {
    KeepAlive {
        connections: usize,
        depth: usize,
    },
    Reconnect {
        concurrent: usize,
    },
    /// Keep-alive over TLS.
    Tls {
        connections: usize,
    },
}

impl HttpRow {
    /// Whether the server has to be one over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.load, Load::Tls { .. })
    }
}

/// One server's share of a row; its connections stay open over all rounds.
pub(crate) enum Client {
    KeepAlive(Session),
    Reconnect { server: SocketAddr, concurrent: usize, request: Request },
    Tls(TlsClient),
}

impl Client {
    pub(crate) fn open(row: &HttpRow, server: SocketAddr) -> io::Result<Client> {
        let request = (row.request)();
        Ok(match row.load {
            Load::KeepAlive { connections, depth } => {
                Client::KeepAlive(Session::open(server, connections, depth, request)?)
            }
            Load::Reconnect { concurrent } => Client::Reconnect { server, concurrent, request },
            Load::Tls { connections } => Client::Tls(TlsClient::open(server, connections, request.bytes())?),
        })
    }

    pub(crate) fn run(&mut self, requests: u64) -> io::Result<()> {
        let stop = Stop::after_requests(requests);
        match self {
            Client::KeepAlive(session) => session.run(stop).map(drop),
            Client::Reconnect { server, concurrent, request } => {
                reconnect(*server, *concurrent, request, stop).map(drop)
            }
            Client::Tls(client) => client.run(requests),
        }
    }
}

fn plaintext() -> Request {
    Request::get("/plaintext")
}

pub(crate) const fn keep_alive(connections: usize, depth: usize) -> Load {
    Load::KeepAlive { connections, depth }
}

pub(crate) const ROWS: [HttpRow; 7] = [
    HttpRow {
        name: "plaintext-64",
        title: "plaintext, 64 connections",
        request: plaintext,
        load: keep_alive(64, 1),
        requests: 50_000,
    },
    HttpRow {
        name: "plaintext-1024",
        title: "plaintext, 1,024 connections",
        request: plaintext,
        load: keep_alive(1024, 1),
        requests: 50_000,
    },
    HttpRow {
        name: "pipelined",
        title: "plaintext, pipelined 16 deep, 64 connections",
        request: plaintext,
        load: keep_alive(64, 16),
        requests: 400_000,
    },
    HttpRow {
        name: "json",
        title: "JSON, 64 connections",
        request: || Request::get("/json"),
        load: keep_alive(64, 1),
        requests: 50_000,
    },
    HttpRow {
        name: "echo",
        title: "echo of 10 KiB, 64 connections",
        request: || Request::echo("/echo", 10 * 1024),
        load: keep_alive(64, 1),
        requests: 30_000,
    },
    HttpRow {
        name: "reconnect",
        title: "a connection per request",
        request: plaintext,
        load: Load::Reconnect { concurrent: 16 },
        requests: 8_000,
    },
    HttpRow {
        name: "tls",
        title: "plaintext over TLS, 64 connections",
        request: plaintext,
        load: Load::Tls { connections: 64 },
        requests: 64 * 400,
    },
];
