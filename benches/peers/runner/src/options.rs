use std::env;

use peers_work::rows::{ROWS, Row};

const USAGE: &str = "usage: peers-runner [--rounds N] [--core N] [--row NAME]... | --instructions";

/// What the command line asks for.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) core: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) instructions: bool,
}

impl Options {
    pub(crate) fn from_arguments() -> Result<Options, String> {
        let mut options = Options { rounds: 7, core: 0, rows: Vec::new(), instructions: false };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--rounds" => options.rounds = number(&value()?)?,
                "--core" => options.core = number(&value()?)?,
                "--row" => options.rows.push(Row::named(&value()?).ok_or(USAGE)?),
                "--instructions" => options.instructions = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        if options.rounds == 0 {
            return Err(USAGE.to_owned());
        }
        if options.rows.is_empty() {
            options.rows.extend(ROWS);
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| USAGE.to_owned())
}
