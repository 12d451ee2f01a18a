//! The command line of the budget command.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::{Section, subject::Subject};

/// What to measure, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sections to measure; all by default.
    pub sections: Vec<Section>,
    /// The programs to measure; all by default. Without the yardstick there are no ratios.
    pub subjects: Vec<Subject>,
    /// Fail when a gate is exceeded. Implies the instruction counts alone, unless sections were named.
    pub check: bool,
    /// Rounds of the CPU measurement; 11 by default.
    pub rounds: usize,
    /// Connections of the memory measurement; 10,000 by default.
    pub connections: usize,
    /// Do not build the programs first.
    pub no_build: bool,
    /// Where to leave callgrind's profiles for `callgrind_annotate`; they are deleted otherwise.
    pub keep_profiles: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sections: Section::ALL.to_vec(),
            subjects: Subject::ALL.to_vec(),
            check: false,
            rounds: 11,
            connections: 10_000,
            no_build: false,
            keep_profiles: None,
        }
    }
}

impl Options {
    /// Reads a command line; `None` when it asks for help.
    ///
    /// # Errors
    ///
    /// When there is an option, section or program nobody knows.
    pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options::default();
        let mut sections = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) => sections.push(section(&name.string()?)?),
                Long("only") => options.subjects = subjects(&parser.value()?.string()?)?,
                Long("check") => options.check = true,
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("connections") => options.connections = parser.value()?.parse()?,
                Long("no-build") => options.no_build = true,
                Long("keep-profiles") => options.keep_profiles = Some(parser.value()?.into()),
                Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        if !sections.is_empty() {
            options.sections = sections;
        } else if options.check {
            options.sections = vec![Section::Instructions];
        }
        Ok(Some(options))
    }

    /// What `--help` prints.
    pub const USAGE: &str = "\
usage: budgets [SECTION...] [--check] [--only raw,bench-http,bench-web] [--rounds 11] [--connections 10000]
               [--no-build] [--keep-profiles DIRECTORY]

sections: instructions cpu syscalls allocations memory sizes realtime (all without a name)
--check   measures the instructions alone, unless sections are named, and fails when a request takes
          more than has been reached before";
}

fn section(name: &str) -> Result<Section, lexopt::Error> {
    Section::ALL
        .into_iter()
        .find(|section| section.name() == name)
        .ok_or_else(|| format!("there is no section {name}").into())
}

fn subjects(names: &str) -> Result<Vec<Subject>, lexopt::Error> {
    names.split(',').map(subject).collect()
}

fn subject(name: &str) -> Result<Subject, lexopt::Error> {
    Subject::ALL
        .into_iter()
        .find(|subject| subject.program() == name)
        .ok_or_else(|| format!("there is no program {name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn check_alone_counts_instructions_alone() {
        let options = parse(&["--check"]).unwrap().unwrap();
        assert_eq!(options.sections, [Section::Instructions]);
        assert!(options.check);
    }

    #[test]
    fn named_sections_and_programs_are_measured() {
        let options = parse(&["cpu", "sizes", "--only", "raw,bench-web"]);
        let options = options.unwrap().unwrap();
        assert_eq!(options.sections, [Section::Cpu, Section::Sizes]);
        assert_eq!(options.subjects, [Subject::Raw, Subject::Web]);
    }

    #[test]
    fn unknown_section_is_an_error() {
        assert!(parse(&["memroy"]).is_err());
    }
}
