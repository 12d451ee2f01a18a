use std::env;

const USAGE: &str = "\
usage: peers-runner [--streams] [--rounds N] [--core N] [--row NAME]...
       peers-runner --instructions
       peers-runner --http [--no-build] [--rounds N] [--core N] [--row NAME]...
       peers-runner --http --instructions [--no-build] [--row NAME]...
       peers-runner --framework [--no-build] [--rounds N] [--core N] [--row NAME]...
       peers-runner --realtime [--no-build] [--rounds N] [--core N] [--row NAME]...";

/// What the command line asks for.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) core: usize,
    /// The rows that are wanted, by name; all when it is empty.
    names: Vec<String>,
    pub(crate) instructions: bool,
    pub(crate) streams: bool,
    pub(crate) http: bool,
    pub(crate) framework: bool,
    pub(crate) realtime: bool,
    /// Whether the servers of HTTP, of the framework and of realtime are built first.
    pub(crate) build: bool,
}

impl Options {
    pub(crate) fn from_arguments() -> Result<Options, String> {
        let mut options = Options {
            rounds: 7,
            core: 0,
            names: Vec::new(),
            instructions: false,
            streams: false,
            http: false,
            framework: false,
            realtime: false,
            build: true,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--rounds" => options.rounds = number(&value()?)?,
                "--core" => options.core = number(&value()?)?,
                "--row" => options.names.push(value()?),
                "--instructions" => options.instructions = true,
                "--streams" => options.streams = true,
                "--http" => options.http = true,
                "--framework" => options.framework = true,
                "--realtime" => options.realtime = true,
                "--no-build" => options.build = false,
                _ => return Err(USAGE.to_owned()),
            }
        }
        if options.rounds == 0 {
            return Err(USAGE.to_owned());
        }
        Ok(options)
    }

    /// Whether a row is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| USAGE.to_owned())
}
