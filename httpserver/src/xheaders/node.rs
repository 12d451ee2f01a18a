use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in an entry: `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, and with a port behind it (RFC 7239 6). `None` for
/// names, for `unknown`, and for addresses that are hidden. Asks no resolver.
#[inline]
pub(super) fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            let is_alone = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            is_alone.then(|| ip.parse::<Ipv6Addr>())?.ok()?.into()
        }
        None => match (text.parse::<IpAddr>(), text.split_once(':')) {
            (Ok(ip), _) => ip,
            (Err(_), Some((ip, port))) if is_port(port) => ip.parse::<Ipv4Addr>().ok()?.into(),
            _ => return None,
        },
    };
    Some(ip.to_canonical())
}

#[inline]
fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        for (text, ip) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(parse_node(text.as_bytes()), Some(ip.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_an_address() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "www.google.com",
            "4.4.4.4<script>",
            "192.0.2.1:",
            "192.0.2.1:+1",
            "192.0.2.1:123456",
            "192.0.2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "[2001:db8::1]4711",
            "[2001:db8::1]:",
            "2001:db8::1]",
            "fe80::1%eth0",
            " 192.0.2.1",
            "\u{ff11}92.0.2.1",
        ] {
            assert_eq!(parse_node(text.as_bytes()), None, "{text}");
        }
    }
}
