use std::net::{IpAddr, SocketAddr};

/// Which of the two address families is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether `addr` is of this family.
    pub fn matches(self, addr: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => addr.is_ipv4(),
            Family::V6 => addr.is_ipv6(),
        }
    }
}

/// Whether `text` is an IPv4 or IPv6 address in its numeric form, and nothing else: no name, no port, no brackets, no
/// spaces, no zone (`%eth0`). Asks no resolver.
///
/// Stricter than inet_aton(3), and therefore than Tornado: `127.1` and octal numbers are no addresses.
///
/// # Examples
///
/// ```
/// use iostream::netutil::is_valid_ip;
///
/// assert!(is_valid_ip("127.0.0.1") && is_valid_ip("2620:0:1cfe:face:b00c::3"));
/// assert!(!is_valid_ip("localhost") && !is_valid_ip(" 127.0.0.1") && !is_valid_ip(""));
/// ```
#[inline]
pub fn is_valid_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}
