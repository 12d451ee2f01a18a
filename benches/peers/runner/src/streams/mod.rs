//! The table of streams: servers of all peers, driven from another core.

mod client;
mod rows;
mod server;

use self::{
    rows::{ROWS, StreamRow},
    server::Server,
};
use crate::{options::Options, table::median, tls::Certificate};

/// Ours first: the others are compared with it. The last one only has the rows of bulk data.
const PEERS: [&str; 5] = ["ours", "tokio", "smol", "monoio", "plain"];

/// Nanoseconds of processor time for each operation, of each peer that has the row.
type Round = [Option<f64>; PEERS.len()];

/// Measures the rows and prints the table.
pub(crate) fn print(options: &Options) -> Result<(), String> {
    let certificate = Certificate::new()?;
    println!("| row | unit | ours, ns CPU | tokio | smol | monoio | plain |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for row in ROWS.iter().filter(|row| options.wants(row.name)) {
        let rounds = (0..options.rounds).map(|_| round(row, options, &certificate)).collect::<Result<Vec<_>, _>>()?;
        println!("{}", line(row, &rounds));
    }
    Ok(())
}

/// A round asks all peers, so that what disturbs the machine disturbs all alike.
fn round(row: &StreamRow, options: &Options, certificate: &Certificate) -> Result<Round, String> {
    let mut figures = Round::default();
    for (figure, peer) in figures.iter_mut().zip(PEERS) {
        if row.has(peer) {
            *figure = Some(sample(row, peer, options, certificate)?);
        }
    }
    Ok(figures)
}

fn sample(row: &StreamRow, peer: &str, options: &Options, certificate: &Certificate) -> Result<f64, String> {
    let failed = |error| format!("{peer}, {}: {error}", row.name);
    let server = Server::start(peer, row.service, certificate, options.core)?;
    // Once before, so that what is set up on first use is not measured.
    (row.drive)(server.address, row.operations / 10).map_err(failed)?;
    let before = server.cpu().map_err(failed)?;
    (row.drive)(server.address, row.operations).map_err(failed)?;
    let spent = server.cpu().map_err(failed)? - before;
    Ok(spent as f64 / row.operations as f64)
}

fn line(row: &StreamRow, rounds: &[Round]) -> String {
    let ours = median(rounds.iter().filter_map(|round| round[0])).unwrap_or_default();
    let mut line = format!("| {} | {} | {ours:.0} |", row.title, row.per);
    for peer in 1..PEERS.len() {
        let ratios = rounds.iter().filter_map(|round| Some(round[peer]? / round[0]?));
        line.push_str(&median(ratios).map_or(" – |".to_owned(), |ratio| format!(" {ratio:.2} |")));
    }
    line
}
