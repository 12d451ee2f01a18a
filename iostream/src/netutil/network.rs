use std::{fmt, io, net::IpAddr, str::FromStr};

use ioloop::Printable;

use crate::Error;

/// A block of addresses, in the notation of RFC 4632: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
///
/// # Examples
///
/// ```
/// use iostream::netutil::IpNetwork;
///
/// let internal: IpNetwork = "10.0.0.0/8".parse()?;
/// assert!(internal.contains([10, 1, 2, 3].into()));
/// assert!(!internal.contains([192, 0, 2, 1].into()));
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    first: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Whether `ip` is one of its addresses. An IPv4 address that a socket for both families shows as `::ffff:a.b.c.d`
    /// counts as IPv4.
    #[inline]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                shifted((first.to_bits() ^ ip.to_bits()).into(), 32 - self.prefix) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => shifted(first.to_bits() ^ ip.to_bits(), 128 - self.prefix) == 0,
            _ => false,
        }
    }

    fn new(first: IpAddr, prefix: u8) -> Result<IpNetwork, &'static str> {
        let (width, bits) = match first {
            IpAddr::V4(first) => (32, u128::from(first.to_bits())),
            IpAddr::V6(first) => (128, first.to_bits()),
        };
        if prefix > width {
            return Err("the prefix is longer than an address");
        }
        // Somebody meant another prefix, or another address.
        if bits != 0 && bits.trailing_zeros() < u32::from(width - prefix) {
            return Err("bits are set behind the prefix");
        }
        Ok(IpNetwork { first, prefix })
    }
}

/// A shift by all 128 bits overflows.
fn shifted(bits: u128, by: u8) -> u128 {
    bits.checked_shr(u32::from(by)).unwrap_or(0)
}

impl From<IpAddr> for IpNetwork {
    #[inline]
    fn from(ip: IpAddr) -> IpNetwork {
        let first = ip.to_canonical();
        IpNetwork { first, prefix: if first.is_ipv4() { 32 } else { 128 } }
    }
}

/// Fails with [`Error::Io`] (`InvalidInput`), which quotes the text and says what is wrong with it.
impl FromStr for IpNetwork {
    type Err = Error;

    #[inline]
    fn from_str(text: &str) -> Result<IpNetwork, Error> {
        let invalid = |reason: &str| {
            let message = format!("{:?} is not a network: {reason}", Printable::text(text).to_string());
            Error::from(io::Error::new(io::ErrorKind::InvalidInput, message))
        };
        let Some((first, prefix)) = text.split_once('/') else {
            return text.parse().map(IpAddr::into).map_err(|_| invalid("the address is none"));
        };
        let first: IpAddr = first.parse().map_err(|_| invalid("the address is none"))?;
        // `parse` would take a plus sign.
        let prefix = Some(prefix).filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix = prefix.and_then(|prefix| prefix.parse().ok()).ok_or_else(|| invalid("the prefix is none"))?;
        IpNetwork::new(first, prefix).map_err(invalid)
    }
}

impl fmt::Display for IpNetwork {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, ip: &str) -> bool {
        network.parse::<IpNetwork>().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_with_its_prefix() {
        for (network, ip) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.0/31", "::ffff:192.0.2.1"),
            ("::/0", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1"),
            ("::1/128", "::1"),
        ] {
            assert!(contains(network, ip), "{network} {ip}");
        }
        for (network, ip) in [
            ("10.0.0.0/8", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "192.0.2.1"),
            ("2001:db8::/32", "2001:db9::"),
        ] {
            assert!(!contains(network, ip), "{network} {ip}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "address"),
            ("localhost", "address"),
            ("10.0.0.0/", "prefix is none"),
            ("10.0.0.0/+8", "prefix is none"),
            ("10.0.0.0/256", "prefix is none"),
            ("10.0.0.0/33", "longer"),
            ("::/129", "longer"),
            ("10.0.0.1/8", "behind the prefix"),
            ("2001:db8::1/64", "behind the prefix"),
        ] {
            let error = text.parse::<IpNetwork>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
