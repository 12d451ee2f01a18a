use std::{env, process};

use crate::{
    Peer,
    rows::{self, Row},
};

/// The main function of a peer: `program ROW [REPETITIONS]` runs one row and prints its cost as the runner reads it.
pub fn main(peer: &impl Peer) {
    let mut arguments = env::args().skip(1);
    let row = arguments.next().and_then(|name| Row::named(&name));
    let repetitions = arguments.next().map(|number| number.parse());
    let (Some(row), Some(Ok(repetitions))) = (row, repetitions.or(row.map(|row| Ok(row.repetitions)))) else {
        let names: Vec<_> = rows::ROWS.iter().map(|row| row.name).collect();
        eprintln!("usage: PROGRAM ROW [REPETITIONS]\nrows: {}", names.join(", "));
        process::exit(2);
    };
    // The driver is a task like all others: what runs a loop's main future is not the same everywhere.
    let driver = peer.clone();
    let sample =
        peer.run(async { peer.join(peer.spawn(async move { rows::run(&driver, row, repetitions).await })).await });
    match sample {
        Some(sample) => println!("{sample}"),
        None => println!("not possible"),
    }
    // Ten thousand tasks still wait; how each loop forgets them is not measured.
    process::exit(0);
}
