//! What all examples share: their options, their log, and how they end.

use std::{
    error::Error,
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    process::{ExitCode, exit},
};

/// Where a server example listens by default.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8888);

/// Reads `--address` and `--port` from the command line and starts the log.
///
/// `--address` takes an IP address with or without a port; `--port` overrides its port, and 0
/// lets the kernel pick one. Prints the usage and ends the process at `--help` and at an invalid
/// option.
pub fn listen_address(about: &str) -> SocketAddr {
    listen_address_from(std::env::args_os().skip(1), about)
}

/// [`listen_address`] for a program that takes a part of its command line itself.
pub fn listen_address_from(arguments: impl IntoIterator<Item = OsString>, about: &str) -> SocketAddr {
    start_log();
    match parse(arguments.into_iter()) {
        Ok(Some(address)) => address,
        Ok(None) => {
            println!("{about}\n\nOptions:\n  --address A  where to listen [default: {DEFAULT_ADDRESS}]");
            println!("  --port N     overrides the port of the address; 0 picks a free one");
            exit(0);
        }
        Err(error) => {
            eprintln!("error: {error}; try --help");
            exit(2);
        }
    }
}

/// Takes an option with a value, `--name value` or `--name=value`, out of a command line, whose rest is for
/// [`listen_address_from`]. The last one counts. Ends the process when the value is missing or no text.
pub fn take_option(arguments: impl IntoIterator<Item = OsString>, name: &str) -> (Option<String>, Vec<OsString>) {
    let (mut values, rest) = take_options(arguments, name);
    (values.pop(), rest)
}

/// [`take_option`] for one that may be repeated.
pub fn take_options(arguments: impl IntoIterator<Item = OsString>, name: &str) -> (Vec<String>, Vec<OsString>) {
    let (mut values, mut rest) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let inline = argument.to_str().and_then(|text| text.strip_prefix(name)).and_then(|text| text.strip_prefix('='));
        if let Some(inline) = inline {
            values.push(inline.to_owned());
        } else if argument == name {
            match arguments.next().and_then(|value| value.into_string().ok()) {
                Some(value) => values.push(value),
                None => {
                    eprintln!("error: {name} needs a value; try --help");
                    exit(2);
                }
            }
        } else {
            rest.push(argument);
        }
    }
    (values, rest)
}

/// Logs to standard error, from level info on: servers write their access log at that level.
///
/// The environment variable `RUST_LOG` overrides the level.
pub fn start_log() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
}

/// The exit code of a program, whose error is printed as one line on standard error.
///
/// A `main` that returns the error itself prints its `Debug` form, which is made for programmers.
pub fn exit_code(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address to listen on, or `None` for `--help`.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<SocketAddr>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut parser = lexopt::Parser::from_args(arguments);
    let mut address = DEFAULT_ADDRESS;
    let mut port = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => address = parser.value()?.parse_with(address_with_port)?,
            Long("port") => port = Some(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    address.set_port(port.unwrap_or(address.port()));
    Ok(Some(address))
}

/// Parses `127.0.0.1:80`, `[::1]:80`, and both without a port.
fn address_with_port(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    text.parse().or_else(|_| {
        let ip: IpAddr = text.trim_start_matches('[').trim_end_matches(']').parse()?;
        Ok(SocketAddr::new(ip, DEFAULT_ADDRESS.port()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<String> {
        let address = parse(arguments.iter().map(OsString::from)).ok()??;
        Some(address.to_string())
    }

    #[test]
    fn the_default_is_port_8888_of_the_loopback() {
        assert_eq!(parsed(&[]).as_deref(), Some("127.0.0.1:8888"));
    }

    #[test]
    fn an_address_may_go_without_a_port() {
        assert_eq!(parsed(&["--address", "0.0.0.0"]).as_deref(), Some("0.0.0.0:8888"));
        assert_eq!(parsed(&["--address", "[::1]"]).as_deref(), Some("[::1]:8888"));
        assert_eq!(parsed(&["--address", "::1"]).as_deref(), Some("[::1]:8888"));
    }

    #[test]
    fn the_port_option_overrides_the_address_in_any_order() {
        assert_eq!(parsed(&["--port", "0", "--address", "[::1]:80"]).as_deref(), Some("[::1]:0"));
        assert_eq!(parsed(&["--address", "10.0.0.1:80", "--port=81"]).as_deref(), Some("10.0.0.1:81"));
    }

    #[test]
    fn an_option_with_a_value_is_taken_out_in_both_forms() {
        for arguments in [&["--port", "1", "--redis", "url"][..], &["--redis=url", "--port", "1"]] {
            let (value, rest) = take_option(arguments.iter().map(OsString::from), "--redis");
            assert_eq!((value.as_deref(), rest), (Some("url"), vec!["--port".into(), "1".into()]));
        }
        assert_eq!(take_option([OsString::from("--redistribute")], "--redis"), (None, vec!["--redistribute".into()]));
    }

    #[test]
    fn an_option_may_be_repeated() {
        let (values, rest) = take_options(["--site", "a", "--port=1", "--site=b"].map(OsString::from), "--site");
        assert_eq!((values, rest), (vec!["a".to_owned(), "b".to_owned()], vec![OsString::from("--port=1")]));
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [&["--port", "65536"][..], &["--port"], &["--address", "nowhere"], &["8888"], &["--verbose"]] {
            assert!(parse(arguments.iter().map(OsString::from)).is_err(), "{arguments:?}");
        }
    }
}
