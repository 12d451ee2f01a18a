//! The command line of the server programs, and the line by which they say that they listen.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::exit,
};

use lexopt::prelude::*;

/// What `raw`, `bench-http` and `bench-web` are started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; 127.0.0.1 by default.
    pub address: IpAddr,
    /// The port; 0, the default, lets the kernel pick one.
    pub port: u16,
    /// Count allocations from the start. Off by default, because counting costs instructions.
    pub count_allocations: bool,
}

impl ServerOptions {
    /// Reads the process's arguments. `--help` and mistakes end the process, as in any command line program.
    pub fn from_env() -> ServerOptions {
        ServerOptions::parse(lexopt::Parser::from_env()).unwrap_or_else(|error| {
            eprintln!("{error}\n{USAGE}");
            exit(2);
        })
    }

    /// The address and the port together.
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    fn parse(mut parser: lexopt::Parser) -> Result<ServerOptions, lexopt::Error> {
        let mut options = ServerOptions { address: Ipv4Addr::LOCALHOST.into(), port: 0, count_allocations: false };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("address") => options.address = parser.value()?.parse()?,
                Long("port") => options.port = parser.value()?.parse()?,
                Long("count-allocations") => options.count_allocations = true,
                Long("help") => {
                    println!("{USAGE}");
                    exit(0);
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

/// Prints where the server listens, at once even into a pipe: the budget command waits for this line.
///
/// # Errors
///
/// When standard output is closed.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{LISTENING_ON}{address}")?;
    out.flush()
}

/// The start of the line [`announce`] prints, up to the address.
pub const LISTENING_ON: &str = "listening on http://";

const USAGE: &str = "options: [--address IP] [--port N] [--count-allocations]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_port_are_taken_from_the_command_line() {
        let options = ServerOptions::parse(lexopt::Parser::from_args(["--port", "8080", "--address", "::1"]));
        assert_eq!(options.unwrap().socket_addr(), "[::1]:8080".parse().unwrap());
    }

    #[test]
    fn unknown_option_is_an_error() {
        assert!(ServerOptions::parse(lexopt::Parser::from_args(["--prot", "1"])).is_err());
    }
}
