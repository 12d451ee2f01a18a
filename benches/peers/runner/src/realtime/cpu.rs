//! Processor time of the server for a message and for a receiver.
//!
//! All servers of a row run at the same time on one core, and their clients on another. They are asked in turn, so that what disturbs the
//! machine disturbs all alike.

use std::io;

use benches::process::{allowed_cores, pin};

use super::{
    crowd::Crowd,
    echo::{EchoClient, Message},
    programs::Program,
    rows::{CPU_ROWS, CpuRow, ECHO_CONNECTIONS, Load, MANY},
};
use crate::{http::server::Server, options::Options, table::median};

/// Measures the rows and prints the table.
pub(super) fn print(options: &Options, programs: &[Program]) -> Result<(), String> {
    let rows: Vec<_> = CPU_ROWS.iter().filter(|row| options.wants(row.name)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let cores = allowed_cores().map_err(|error| error.to_string())?;
    let load = cores.iter().copied().find(|&core| core != options.core);
    let load = load.ok_or("processor time is measured on two cores, and there is only one")?;

    let others: Vec<_> = programs.iter().skip(1).map(|program| program.title).collect();
    println!("| row | {}, ns CPU | {} |", programs[0].title, others.join(" | "));
    println!("|---|--:|{}", "--:|".repeat(others.len()));
    for row in rows {
        eprintln!("{}", row.name);
        let mut subjects = start(row, programs, [options.core, load])?;
        for round in 0..options.rounds {
            for turn in 0..subjects.len() {
                // Everyone goes first in some rounds.
                let index = (round + turn) % subjects.len();
                let sample = subjects[index].sample(row);
                subjects[index].samples.push(sample);
            }
        }
        println!("{}", line(row, &subjects));
    }
    // The servers of the other table would inherit the one core.
    pin(0, &cores).map_err(|error| error.to_string())
}

/// A server with its clients, which leave before it ends, and what it took in each round. Without the former when something went wrong, which ends its row alone.
struct Subject {
    title: &'static str,
    running: Option<(Clients, Server)>,
    samples: Vec<Option<f64>>,
}

enum Clients {
    /// These come anew in each round: nobody would answer their pings while others have their turns.
    Echo { message: fn() -> Message },
    /// They stay connected over all rounds.
    Crowd(Crowd),
}

/// `cores`: of the servers and of their clients.
fn start(row: &CpuRow, programs: &[Program], [server_core, load_core]: [usize; 2]) -> Result<Vec<Subject>, String> {
    let pin_to = |core: usize| pin(0, &[core]).map_err(|error| format!("pinning to core {core}: {error}"));
    let mut subjects = Vec::new();
    for program in programs {
        let mut subject = Subject { title: program.title, running: None, samples: Vec::new() };
        let Some(command) = program.command(row.load.way()) else {
            subjects.push(subject);
            continue;
        };
        // Inherited by the server and by every thread of it.
        pin_to(server_core)?;
        let server = Server::start(command);
        pin_to(load_core)?;
        let running = server.and_then(|server| {
            let mut clients = Clients::open(row, &server)?;
            // Once before, so that what is set up on first use is not measured.
            clients.spent(&server, row.load.messages().div_ceil(10))?;
            Ok((clients, server))
        });
        subject.running = running.inspect_err(|error| eprintln!("{}, {}: {error}", program.title, row.name)).ok();
        subjects.push(subject);
    }
    Ok(subjects)
}

impl Subject {
    /// Nanoseconds for an operation in one round.
    fn sample(&mut self, row: &CpuRow) -> Option<f64> {
        let (clients, server) = self.running.as_mut()?;
        let spent = clients.spent(server, row.load.messages());
        if let Err(error) = &spent {
            eprintln!("{}, {}: {error}", self.title, row.name);
            self.running = None;
        }
        Some(spent.ok()? as f64 / row.load.operations() as f64)
    }
}

impl Clients {
    fn open(row: &CpuRow, server: &Server) -> Result<Clients, String> {
        Ok(match row.load {
            Load::Echo { message, .. } => Clients::Echo { message },
            Load::Broadcast { way, .. } => Clients::Crowd(Crowd::open(way, server.address, MANY)?),
        })
    }

    /// What the server takes for so many messages.
    fn spent(&mut self, server: &Server, messages: u64) -> Result<u64, String> {
        match self {
            Clients::Echo { message } => {
                let failed = |error: io::Error| error.to_string();
                let mut client = EchoClient::open(server.address, ECHO_CONNECTIONS, message()).map_err(failed)?;
                client.run(messages / 10).map_err(failed)?;
                server.settle()?;
                let before = server.cpu()?;
                client.run(messages).map_err(failed)?;
                server.settle()?;
                Ok(server.cpu()? - before)
            }
            Clients::Crowd(crowd) => {
                let mut spent = 0;
                for _ in 0..messages {
                    crowd.prepare()?;
                    server.settle()?;
                    let before = server.cpu()?;
                    crowd.publish()?;
                    server.settle()?;
                    spent += server.cpu()? - before;
                    // New polls are not part of it.
                    crowd.come_back()?;
                }
                Ok(spent)
            }
        }
    }
}

fn line(row: &CpuRow, subjects: &[Subject]) -> String {
    let (raw, others) = subjects.split_first().expect("the yardstick is always there");
    let own = median(raw.samples.iter().copied().flatten()).map_or("–".to_owned(), |own| format!("{own:.0}"));
    let mut line = format!("| {} | {own} |", row.title);
    for other in others {
        let ratios = other.samples.iter().zip(&raw.samples).filter_map(|(other, raw)| Some((*other)? / (*raw)?));
        line.push_str(&median(ratios).map_or(" – |".to_owned(), |ratio| format!(" {ratio:.2} |")));
    }
    line
}
