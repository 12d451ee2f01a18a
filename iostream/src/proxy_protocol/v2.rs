//! Version 2: binary, with lengths.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use super::{Header, Outcome, Tlv, begins_with};
use crate::Peer;

/// Chosen so that no other protocol begins with it, and that servers of text protocols give up at once.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family, and the length of the rest.
const FIXED: usize = 16;

/// The commands, with the version in the upper half.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The address families, with the transport protocol in the lower half: stream or datagram. A proxy may pass datagrams
/// on as a stream; their addresses are as good.
const UNSPEC: u8 = 0x00;
const INET: [u8; 2] = [0x11, 0x12];
const INET6: [u8; 2] = [0x21, 0x22];
const UNIX: [u8; 2] = [0x31, 0x32];

/// The room for a path, which may end earlier by a NUL.
const PATH: usize = 108;

#[inline]
pub(super) fn parse(bytes: &[u8]) -> Outcome {
    match begins_with(bytes, SIGNATURE) {
        None => return Ok(None),
        Some(false) => return Err("it begins with neither PROXY nor the signature of version 2"),
        Some(true) => {}
    }
    // What is wrong with the first bytes is said before the rest is there.
    let command = match bytes.get(12) {
        None => return Ok(None),
        Some(&command @ (LOCAL | PROXY)) => command,
        Some(command) if command >> 4 != 2 => return Err("its version is not 2"),
        Some(_) => return Err("its command is neither LOCAL nor PROXY"),
    };
    let Some(&[family, high, low]) = bytes.get(13..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if command == PROXY && FIXED + address_length(family)? > length {
        return Err("it is too short for its addresses");
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    // The family and the rest of LOCAL are to be ignored.
    let parsed = if command == LOCAL { Header::local() } else { parse_proxied(family, header)? };
    Ok(Some((parsed, length)))
}

#[inline]
fn address_length(family: u8) -> Result<usize, &'static str> {
    match family {
        UNSPEC => Ok(0),
        _ if INET.contains(&family) => Ok(2 * (4 + 2)),
        _ if INET6.contains(&family) => Ok(2 * (16 + 2)),
        _ if UNIX.contains(&family) => Ok(2 * PATH),
        _ => Err("its address family is unknown"),
    }
}

#[inline]
fn parse_proxied(family: u8, header: &[u8]) -> Result<Header, &'static str> {
    // Nothing is known of the form of what follows.
    if family == UNSPEC {
        return Ok(Header::local());
    }
    let (addresses, tlvs) = header[FIXED..].split_at(address_length(family)?);
    let (source, destination) = match family {
        _ if INET.contains(&family) => inet::<4, Ipv4Addr>(addresses),
        _ if INET6.contains(&family) => inet::<16, Ipv6Addr>(addresses),
        _ => (unix(&addresses[..PATH]), unix(&addresses[PATH..])),
    };
    Ok(Header { tlvs: parse_tlvs(header, tlvs)?, ..Header::proxied(source, destination) })
}

/// Two addresses of `N` bytes, then two ports.
fn inet<const N: usize, A: From<[u8; N]> + Into<std::net::IpAddr>>(bytes: &[u8]) -> (Peer, Peer) {
    let peer = |index: usize| {
        let ip: [u8; N] = std::array::from_fn(|i| bytes[index * N + i]);
        let port = [0, 1].map(|i| bytes[2 * N + 2 * index + i]);
        Peer::Inet(SocketAddr::new(A::from(ip).into(), u16::from_be_bytes(port)))
    };
    (peer(0), peer(1))
}

/// A path ends at its first NUL, an abstract name, which begins with one, at its last byte that is none.
#[inline]
fn unix(bytes: &[u8]) -> Peer {
    let end = match bytes[0] {
        0 => bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1),
        _ => bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()),
    };
    let path = (end > 0).then(|| PathBuf::from(OsString::from_vec(bytes[..end].to_vec())));
    Peer::Unix(path)
}

#[inline]
fn parse_tlvs(header: &[u8], mut rest: &[u8]) -> Result<Vec<Tlv>, &'static str> {
    let mut tlvs = Vec::new();
    while let Some((&[kind, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length).ok_or("a value is longer than the header")?;
        if kind == Tlv::CRC32C {
            let expected = value.try_into().map_err(|_| "its checksum has another length than 4 bytes")?;
            if checksum(header, header.len() - rest.len() + 3) != u32::from_be_bytes(expected) {
                return Err("its checksum does not match");
            }
        }
        tlvs.push(Tlv { kind, value: value.to_vec() });
        rest = behind;
    }
    if rest.is_empty() { Ok(tlvs) } else { Err("its last value is cut off") }
}

/// CRC-32C (RFC 4960 appendix B) of the header, with zeros in the place of the checksum. Bit by bit: a header has a few
/// hundred bytes, and hardly any has a checksum.
#[inline]
fn checksum(header: &[u8], at: usize) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let crc = header.iter().enumerate().fold(!0, |crc: u32, (index, &byte)| {
        let byte = if (at..at + 4).contains(&index) { 0 } else { byte };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    });
    !crc
}

#[inline]
pub(super) fn encode(header: &Header) -> Result<Vec<u8>, &'static str> {
    const TOO_LONG: &str = "its values are longer than 65,535 bytes";
    let mut bytes = SIGNATURE.to_vec();
    let (family, addresses) = match (&header.source, &header.destination) {
        (Some(source), Some(destination)) => encode_addresses(source, destination),
        _ => (UNSPEC, Vec::new()),
    };
    let is_local = header.source.is_none();
    bytes.extend([if is_local { LOCAL } else { PROXY }, family, 0, 0]);
    bytes.extend(addresses);
    let mut checksum_at = None;
    // Behind UNSPEC nobody looks for them.
    for tlv in header.tlvs.iter().filter(|_| family != UNSPEC) {
        let value = if tlv.kind == Tlv::CRC32C { &[0; 4] } else { &tlv.value[..] };
        bytes.push(tlv.kind);
        bytes.extend(u16::try_from(value.len()).map_err(|_| TOO_LONG)?.to_be_bytes());
        if tlv.kind == Tlv::CRC32C {
            checksum_at = Some(bytes.len());
        }
        bytes.extend(value);
    }
    let length = u16::try_from(bytes.len() - FIXED).map_err(|_| TOO_LONG)?;
    bytes[14..FIXED].copy_from_slice(&length.to_be_bytes());
    if let Some(at) = checksum_at {
        let checksum = checksum(&bytes, at);
        bytes[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
    }
    Ok(bytes)
}

#[inline]
fn encode_addresses(source: &Peer, destination: &Peer) -> (u8, Vec<u8>) {
    use SocketAddr::{V4, V6};
    let ports = |source: &SocketAddr, destination: &SocketAddr| {
        [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat()
    };
    match (source, destination) {
        (Peer::Inet(from @ V4(source)), Peer::Inet(to @ V4(destination))) => {
            (INET[0], [&source.ip().octets()[..], &destination.ip().octets(), &ports(from, to)].concat())
        }
        (Peer::Inet(from @ V6(source)), Peer::Inet(to @ V6(destination))) => {
            (INET6[0], [&source.ip().octets()[..], &destination.ip().octets(), &ports(from, to)].concat())
        }
        (Peer::Unix(source), Peer::Unix(destination)) => {
            let padded = |path: &Option<PathBuf>| {
                let mut bytes = path.as_ref().map_or(Vec::new(), |path| path.as_os_str().as_bytes().to_vec());
                bytes.resize(PATH, 0);
                bytes
            };
            (UNIX[0], [padded(source), padded(destination)].concat())
        }
        _ => (UNSPEC, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        // The check value of the catalogue of CRC algorithms; no byte is left out.
        assert_eq!(checksum(b"123456789", 100), 0xE306_9283);
    }
}
