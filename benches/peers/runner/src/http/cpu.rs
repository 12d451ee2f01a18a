//! Processor time of the server for one request.
//!
//! All servers of a row run at the same time on one core and are driven in turn from another, so that what disturbs the machine disturbs
//! all alike.

use std::process::Command;

use benches::process::{allowed_cores, pin};

use super::{
    programs::Program,
    rows::{Client, HttpRow},
    server::Server,
};
use crate::{options::Options, table::median, tls::Certificate};

/// Measures the rows and prints the table. The first program is ours: the others are compared with it.
pub(crate) fn print(options: &Options, programs: &[Program], rows: &[HttpRow]) -> Result<(), String> {
    // Without a figure of ours there is no ratio.
    let possible = |row: &HttpRow| !row.is_tls() || programs[0].tls.is_some();
    let rows: Vec<_> = rows.iter().filter(|row| options.wants(row.name) && possible(row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let cores = allowed_cores().map_err(|error| error.to_string())?;
    let load = cores.iter().copied().find(|&core| core != options.core);
    let load = load.ok_or("processor time is measured on two cores, and there is only one")?;

    let certificate = Certificate::new()?;
    let others: Vec<_> = programs.iter().skip(1).map(|program| program.title).collect();
    println!("| row | {}, ns CPU | {} |", programs[0].title, others.join(" | "));
    println!("|---|--:|{}", "--:|".repeat(others.len()));
    for row in rows {
        eprintln!("{}", row.name);
        let mut subjects = start(row, programs, &certificate, [options.core, load])?;
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
    // The servers of the other tables would inherit the one core.
    pin(0, &cores).map_err(|error| error.to_string())
}

/// A server with its connections and what it took in each round. Without the former when something went wrong, which ends its row alone.
struct Subject {
    title: &'static str,
    running: Option<(Server, Client)>,
    samples: Vec<Option<f64>>,
}

/// `cores`: of the servers and of the load.
fn start(
    row: &HttpRow,
    programs: &[Program],
    certificate: &Certificate,
    [server_core, load_core]: [usize; 2],
) -> Result<Vec<Subject>, String> {
    let pin_to = |core: usize| pin(0, &[core]).map_err(|error| format!("pinning to core {core}: {error}"));
    let mut subjects = Vec::new();
    for program in programs {
        let mut subject = Subject { title: program.title, running: None, samples: Vec::new() };
        let Some(command) = command(program, row, certificate) else {
            subjects.push(subject);
            continue;
        };
        // Inherited by the server and by every thread of it.
        pin_to(server_core)?;
        let server = Server::start(command);
        pin_to(load_core)?;
        let running = server.and_then(|server| {
            let mut client = Client::open(row, server.address).map_err(|error| error.to_string())?;
            // Once before, so that what is set up on first use is not measured.
            client.run(row.requests / 10).map_err(|error| error.to_string())?;
            server.settle()?;
            Ok((server, client))
        });
        subject.running = running.inspect_err(|error| eprintln!("{}, {}: {error}", program.title, row.name)).ok();
        subjects.push(subject);
    }
    Ok(subjects)
}

/// `None` of a server that the row is not for.
fn command(program: &Program, row: &HttpRow, certificate: &Certificate) -> Option<Command> {
    if !row.is_tls() {
        return Some(Command::new(&program.path));
    }
    let mut command = Command::new(program.tls.as_ref()?);
    command.arg("--tls").args(certificate.files());
    Some(command)
}

impl Subject {
    /// Nanoseconds for a request in one round.
    fn sample(&mut self, row: &HttpRow) -> Option<f64> {
        let (server, client) = self.running.as_mut()?;
        let spent = spent(server, client, row.requests);
        if let Err(error) = &spent {
            eprintln!("{}, {}: {error}", self.title, row.name);
            self.running = None;
        }
        Some(spent.ok()? as f64 / row.requests as f64)
    }
}

fn spent(server: &Server, client: &mut Client, requests: u64) -> Result<u64, String> {
    let before = server.cpu()?;
    client.run(requests).map_err(|error| error.to_string())?;
    server.settle()?;
    Ok(server.cpu()? - before)
}

fn line(row: &HttpRow, subjects: &[Subject]) -> String {
    let (ours, others) = subjects.split_first().expect("ours is always there");
    let own = median(ours.samples.iter().copied().flatten()).map_or("–".to_owned(), |own| format!("{own:.0}"));
    let mut line = format!("| {} | {own} |", row.title);
    for other in others {
        let ratios = other.samples.iter().zip(&ours.samples).filter_map(|(other, ours)| Some((*other)? / (*ours)?));
        line.push_str(&median(ratios).map_or(" – |".to_owned(), |ratio| format!(" {ratio:.2} |")));
    }
    line
}
