use std::process::Command;

use peers_work::{
    Sample,
    rows::{ROWS, Row},
};

use crate::programs::{self, PEERS};

/// Counts the instructions of every row in user space and prints them as a table.
pub(crate) fn print() -> Result<(), String> {
    println!("| row | unit | ours | tokio | smol | monoio |");
    println!("|---|---|--:|--:|--:|--:|");
    for row in ROWS.into_iter().filter(|row| row.countable) {
        let mut line = format!("| {} | {} |", row.title, row.per);
        for peer in PEERS {
            let cell = each(peer, row)?.map_or(" – |".to_owned(), |count| format!(" {count:.0} |"));
            line.push_str(&cell);
        }
        println!("{line}");
    }
    Ok(())
}

/// Two runs of different length: the difference is free of start-up and preparation.
fn each(peer: &str, row: Row) -> Result<Option<f64>, String> {
    let short = repetitions(row);
    let (Some((few, few_times)), Some((many, many_times))) = (count(peer, row, short)?, count(peer, row, 3 * short)?)
    else {
        return Ok(None);
    };
    Ok(Some((many - few) as f64 / (many_times - few_times) as f64))
}

fn repetitions(row: Row) -> usize {
    // Under callgrind everything takes fifty times as long.
    (row.repetitions / 50).max(1)
}

/// All instructions of a run, and how often it did the work.
fn count(peer: &str, row: Row, repetitions: usize) -> Result<Option<(u64, u64)>, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(programs::path(peer)?).arg(row.name).arg(repetitions.to_string());
    let (output, report) = programs::run(&mut command)?;
    if output.trim() == "not possible" {
        return Ok(None);
    }
    let sample = Sample::parse(&output);
    let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match (collected, sample) {
        (Some(collected), Some(sample)) => Ok(Some((collected, sample.operations))),
        _ => Err(format!("{peer}, {}: unreadable output", row.name)),
    }
}
