//! Version 1: a line of text.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::{self, FromStr},
};

use super::{Header, Outcome, begins_with};
use crate::Peer;

/// The longest line there is, with its end: that of two IPv6 addresses behind `UNKNOWN`.
const MAX_LINE: usize = 107;

#[inline]
pub(super) fn parse(bytes: &[u8]) -> Outcome {
    match begins_with(bytes, b"PROXY ") {
        None => return Ok(None),
        Some(false) => return Err("it begins with neither PROXY nor the signature of version 2"),
        Some(true) => {}
    }
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err("its line does not end within 107 bytes") };
    };
    let header = parse_line(&bytes[..end])?;
    Ok(Some((header, end + 2)))
}

#[inline]
fn parse_line(line: &[u8]) -> Result<Header, &'static str> {
    // What follows behind UNKNOWN is to be ignored, whatever it is.
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        return Ok(Header::local());
    }
    let line = str::from_utf8(line).map_err(|_| "its line is not text")?;
    // Exactly one space between two fields: an empty field is none of any kind.
    let fields: Vec<&str> = line.split(' ').collect();
    let &[_, family, source, destination, source_port, destination_port] = &fields[..] else {
        return Err("its line has another number of fields");
    };
    let (source, destination) = match family {
        "TCP4" => (address::<Ipv4Addr>(source)?, address::<Ipv4Addr>(destination)?),
        "TCP6" => (address::<Ipv6Addr>(source)?, address::<Ipv6Addr>(destination)?),
        _ => return Err("its family is neither TCP4, TCP6 nor UNKNOWN"),
    };
    let source = SocketAddr::new(source, port(source_port)?);
    let destination = SocketAddr::new(destination, port(destination_port)?);
    Ok(Header::proxied(Peer::Inet(source), Peer::Inet(destination)))
}

/// The standard library refuses leading zeros in IPv4 addresses, as the specification does.
fn address<A: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, &'static str> {
    text.parse::<A>().map(A::into).map_err(|_| "an address is none of its family")
}

/// Digits alone, without leading zeros. The standard library would take both a sign and zeros.
#[inline]
fn port(text: &str) -> Result<u16, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let port = if is_plain { text.parse().ok() } else { None };
    port.ok_or("a port is not a plain number up to 65535")
}

#[inline]
pub(super) fn encode(addrs: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let line = |family: &str, ips: [&dyn Display; 2], ports: [u16; 2]| {
        format!("PROXY {family} {} {} {} {}\r\n", ips[0], ips[1], ports[0], ports[1]).into_bytes()
    };
    match addrs {
        Some((SocketAddr::V4(source), SocketAddr::V4(destination))) => {
            line("TCP4", [source.ip(), destination.ip()], [source.port(), destination.port()])
        }
        Some((SocketAddr::V6(source), SocketAddr::V6(destination))) => {
            line("TCP6", [source.ip(), destination.ip()], [source.port(), destination.port()])
        }
        _ => b"PROXY UNKNOWN\r\n".to_vec(),
    }
}
