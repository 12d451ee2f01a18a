use peers_work::{
    Sample,
    rows::{ROWS, Row},
};

use crate::{
    options::Options,
    programs::{self, PEERS},
};

/// Measures all rows and prints the table.
pub(crate) fn print(options: &Options) -> Result<(), String> {
    println!("| row | unit | ours, ns CPU | ours, ns wall | tokio | smol | monoio |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for row in ROWS.into_iter().filter(|row| options.wants(row.name)) {
        println!("{}", line(row, &rounds(row, options.rounds)?));
    }
    Ok(())
}

/// What each peer took in each round. A round asks all of them, so that what disturbs the machine disturbs all alike.
fn rounds(row: Row, rounds: usize) -> Result<Vec<[Option<Sample>; 4]>, String> {
    let mut samples = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut round = [None; 4];
        for (place, peer) in round.iter_mut().zip(PEERS) {
            *place = programs::sample(peer, row)?;
        }
        samples.push(round);
    }
    Ok(samples)
}

fn line(row: Row, rounds: &[[Option<Sample>; 4]]) -> String {
    let ours = |figure: fn(&Sample) -> f64| median(rounds.iter().filter_map(|round| round[0].as_ref()).map(figure));
    let mut line = format!(
        "| {} | {} | {} | {} |",
        row.title,
        row.per,
        shown(ours(Sample::cpu_each)),
        shown(ours(Sample::wall_each))
    );
    for peer in 1..PEERS.len() {
        let ratio = |round: &[Option<Sample>; 4]| Some(round[peer]?.cpu_each() / round[0]?.cpu_each());
        let cell =
            median(rounds.iter().filter_map(ratio)).map_or(" – |".to_owned(), |ratio| format!(" {ratio:.2} |"));
        line.push_str(&cell);
    }
    line
}

fn shown(nanoseconds: Option<f64>) -> String {
    nanoseconds
        .map_or("–".to_owned(), |figure| if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") })
}

/// The one in the middle; `None` of nothing.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len().checked_sub(1)? / 2;
    Some((figures[middle] + figures[figures.len() / 2]) / 2.0)
}
