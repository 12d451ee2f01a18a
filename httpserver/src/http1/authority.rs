//! The grammar of an authority, in a target and in Host (RFC 3986 3.2, without userinfo).
//!
//! A host decides who answers a request, so it is judged strictly: one that two programs could take for different hosts
//! is refused. Nothing is looked up or normalised.

use std::net::Ipv6Addr;

use memchr::memchr_iter;

use super::scan::{Class, class_len};

/// `host [":" port]` with a host that is not empty.
///
/// Userinfo (`user@host`) is not part of it: RFC 9110 4.2.4 has it treated as an error. So is a percent sign without
/// two hexadecimal digits behind it, and `%00`: where one server decodes a host and the next does not, the two would
/// talk about different hosts.
#[inline]
pub(super) fn is_authority(text: &[u8]) -> bool {
    if text.first() == Some(&b'[') {
        return match split_port(text) {
            Some((host, port)) => is_host(host) && is_port(port),
            None => is_host(text),
        };
    }
    // The usual case in one walk: a name without brackets, and perhaps a port.
    let end = class_len(text, Class::HOST);
    end != 0
        && (end == text.len() || (text[end] == b':' && is_port(&text[end + 1..])))
        && has_sound_escapes(&text[..end])
}

/// `host ":" port` with both, the only target of CONNECT. The port is not 0, which nothing can be reached at (RFC 9110
/// 9.3.6 has an invalid one refused).
pub(super) fn is_host_and_port(text: &[u8]) -> bool {
    split_port(text).is_some_and(|(host, port)| is_host(host) && is_port(port) && port.iter().any(|&b| b != b'0'))
}

/// Host and port, split at the colon behind the host; `None` if there is none.
fn split_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let host = match text {
        [b'[', ..] => text.iter().position(|&b| b == b']')? + 1,
        _ => text.iter().position(|&b| b == b':')?,
    };
    let (host, port) = text.split_at(host);
    Some((host, port.strip_prefix(b":")?))
}

/// A reg-name or IPv4 address, or an IPv6 address in brackets.
///
/// Addresses with a zone (RFC 6874) and of future versions of IP are not taken: the first have a meaning on the client's
/// machine alone, the second none.
fn is_host(host: &[u8]) -> bool {
    match host {
        // The standard library's parser follows RFC 3986 here: it takes neither a zone nor a port.
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        _ => !host.is_empty() && class_len(host, Class::HOST) == host.len() && has_sound_escapes(host),
    }
}

/// Whether each percent sign has two hexadecimal digits behind it, and none of them stands for NUL.
fn has_sound_escapes(host: &[u8]) -> bool {
    memchr_iter(b'%', host).all(|at| match host[at + 1..] {
        [b'0', b'0', ..] => false,
        [a, b, ..] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        _ => false,
    })
}

/// Digits up to 65535; none at all are allowed by the grammar, and so are zeros in front (RFC 3986 3.2.3).
#[inline]
fn is_port(port: &[u8]) -> bool {
    if !port.iter().all(u8::is_ascii_digit) {
        return false;
    }
    match port.len() {
        0..=4 => true,
        5 => port <= b"65535".as_slice(),
        // Leading zeros.
        _ => port.iter().fold(0u32, |number, &b| (number * 10 + u32::from(b - b'0')).min(1 << 16)) < 1 << 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_by_grammar() {
        let good = ["a", "a.b:80", "127.0.0.1", "127.0.0.1:8888", "[::1]", "[::1]:80", "a:", "a_b", "x%20y", "a:65535"];
        for text in good {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        let bad = [
            "",
            ":80",
            "a b",
            "a,b",
            "a:b",
            "a:65536",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]80",
            "[]",
            "[a]",
            "u@h",
            "a/b",
            "a?b",
            "a#b",
            "\u{e4}",
            "[::1]]",
            "a:+1",
            "a:99999999999999999999",
        ];
        for text in bad {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_host_has_whole_escapes_and_no_nul() {
        for text in ["%41", "a%2Fb", "a%ffb:80"] {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        for text in ["%", "a%", "a%4", "%zz", "a%4g", "a%%41", "a%:80", "a%4:80", "%00", "a%00:80", "u%00ser.a"] {
            assert!(!is_authority(text.as_bytes()), "{text}");
            assert!(!is_host_and_port(format!("{}:1", text.trim_end_matches(":80")).as_bytes()), "{text}");
        }
    }

    #[test]
    fn connect_names_a_host_and_a_port() {
        for text in ["a:1", "127.0.0.1:443", "[::1]:80", "a:0080"] {
            assert!(is_host_and_port(text.as_bytes()), "{text}");
        }
        for text in ["a", "a:", ":1", "[::1]", "a:0", "a:000", "a:65536", "u@a:1", "a:1/"] {
            assert!(!is_host_and_port(text.as_bytes()), "{text}");
        }
    }
}
