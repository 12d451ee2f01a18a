//! CPU time of the server per request, as a ratio to the yardstick's in the same round.
//!
//! All servers run at the same time on one core and are driven in turn from another one, so that whatever disturbs the machine
//! disturbs all of them. The figure is the median over the rounds.

use std::{net::SocketAddr, time::Duration};

use super::{
    Options, Result, Row,
    limits::{self, Limits},
    report::Unit,
    server::Server,
    subject::Subject,
};
use crate::{
    load::{EchoSession, Request, Session, Stop, reconnect},
    process::{allowed_cores, pin},
};

/// One kind of load.
pub(super) struct Scenario {
    pub(super) what: &'static str,
    pub(super) limits: Limits,
    pub(super) load: Load,
    /// Requests per round and server: enough for a third of a second.
    pub(super) requests: u64,
}

pub(super) enum Load {
    /// Messages over WebSockets at `/echo`.
    Echo {
        connections: usize,
        size: usize,
    },
    KeepAlive {
        connections: usize,
        depth: usize,
        request: Request,
    },
    Reconnect {
        concurrent: usize,
        request: Request,
    },
}

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    measure_scenarios(options, &scenarios(), |subject| Some(subject.program()))
}

/// Measures scenarios at the servers that `program` names, as far as there are any.
pub(super) fn measure_scenarios(
    options: &Options,
    scenarios: &[Scenario],
    program: fn(Subject) -> Option<&'static str>,
) -> Result<Vec<Row>> {
    let cores = allowed_cores()?;
    let [server_core, load_core, ..] = cores[..] else {
        return Err("CPU time is measured on two cores, and there is only one".into());
    };
    pin(0, &[load_core])?;
    let mut servers = Vec::new();
    for &subject in &options.subjects {
        let Some(program) = program(subject) else { continue };
        let server = Server::start_program(program, &[])?;
        server.pin(server_core)?;
        servers.push((subject, server));
    }
    let rows = scenarios.iter().map(|scenario| row(scenario, options.rounds, &servers)).collect();
    for (_, server) in servers {
        server.end()?;
    }
    // The servers of later sections would inherit the one core.
    pin(0, &cores)?;
    rows
}

fn scenarios() -> [Scenario; 5] {
    let plaintext = || Request::get("/plaintext");
    let keep_alive = |connections, depth, request| Load::KeepAlive { connections, depth, request };
    [
        Scenario {
            what: "CPU per request against raw, 64 connections",
            limits: limits::CPU_64,
            load: keep_alive(64, 1, plaintext()),
            requests: 50_000,
        },
        Scenario {
            what: "the same, pipelined 16 deep",
            limits: limits::CPU_PIPELINED,
            load: keep_alive(64, 16, plaintext()),
            requests: 400_000,
        },
        Scenario {
            what: "the same, 1,024 connections",
            limits: limits::CPU_1024,
            load: keep_alive(1024, 1, plaintext()),
            requests: 50_000,
        },
        Scenario {
            what: "POST echo of 10 KiB",
            limits: limits::CPU_ECHO,
            load: keep_alive(64, 1, Request::echo("/echo", 10 * 1024)),
            requests: 30_000,
        },
        Scenario {
            what: "a connection per request",
            limits: limits::CPU_RECONNECT,
            load: Load::Reconnect { concurrent: 16, request: plaintext() },
            requests: 8_000,
        },
    ]
}

fn row(scenario: &Scenario, rounds: usize, servers: &[(Subject, Server)]) -> Result<Row> {
    eprintln!("  {}", scenario.what);
    let mut clients = Vec::new();
    for (_, server) in servers {
        clients.push(Client::open(&scenario.load, server.address())?);
    }
    let mut times = vec![Vec::with_capacity(rounds); servers.len()];
    for round in 0..rounds {
        for turn in 0..servers.len() {
            // Everyone goes first in some rounds.
            let index = (round + turn) % servers.len();
            let server = &servers[index].1;
            let before = server.cpu_time()?;
            clients[index].run(scenario.requests)?;
            server.settle()?;
            times[index].push(server.cpu_time()? - before);
        }
    }
    let raw = servers.iter().position(|(subject, _)| *subject == Subject::Raw);
    let raw = times[raw.ok_or("without raw there is no ratio")?].clone();
    let mut row = Row::new(scenario.what, Unit::Ratio, scenario.limits);
    for ((subject, _), times) in servers.iter().zip(times) {
        let ratios = times.iter().zip(&raw).map(|(time, raw)| time.as_secs_f64() / raw.as_secs_f64());
        let ratio = median(ratios.collect());
        let each = median(times.iter().map(Duration::as_secs_f64).collect());
        let note = format!("{:.2} µs", each / scenario.requests as f64 * 1e6);
        row.put_with_note(*subject, ratio, note);
    }
    Ok(row)
}

/// One server's share of a scenario; its connections stay open over all rounds.
enum Client<'a> {
    Echo(EchoSession),
    KeepAlive(Session),
    Reconnect { server: SocketAddr, concurrent: usize, request: &'a Request },
}

impl<'a> Client<'a> {
    fn open(load: &'a Load, server: SocketAddr) -> Result<Client<'a>> {
        Ok(match load {
            Load::Echo { connections, size } => Client::Echo(EchoSession::open(server, "/echo", *connections, *size)?),
            Load::KeepAlive { connections, depth, request } => {
                Client::KeepAlive(Session::open(server, *connections, *depth, request.clone())?)
            }
            Load::Reconnect { concurrent, request } => Client::Reconnect { server, concurrent: *concurrent, request },
        })
    }

    fn run(&mut self, requests: u64) -> Result<()> {
        let stop = Stop::after_requests(requests);
        match self {
            Client::Echo(session) => session.run(stop)?,
            Client::KeepAlive(session) => session.run(stop)?,
            Client::Reconnect { server, concurrent, request } => reconnect(*server, *concurrent, request, stop)?,
        };
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_ignores_outliers() {
        assert_eq!(median(vec![1.0, 900.0, 3.0, 2.0, 2.5]), 2.5);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
