//! Whose request a proxy passes on, by what its headers say.
//!
//! Nothing is looked at until a service asks, and nothing is kept: most services never do, and a connection has no room
//! for it.

mod forwarded;
mod node;

use std::{fmt, net::IpAddr};

use iostream::netutil::IpNetwork;

use self::{forwarded::elements, node::parse_node};
use crate::{Headers, Protocol};

/// Which peers are proxies, and which header lines of theirs say whose request they pass on. See
/// [`ServerOptions::xheaders`](crate::ServerOptions::xheaders).
///
/// [`Request::remote_ip`](crate::Request::remote_ip) and [`Request::protocol`](crate::Request::protocol) are then those of
/// the client. Requests of any other peer are taken as they are, whatever their headers say. A peer over a Unix socket is
/// trusted: who may connect to it is a matter of its file's permissions.
///
/// # Addresses
///
/// Each proxy adds the address that it was connected from at the right end of `X-Forwarded-For`; what stands to the left of
/// that may be the invention of a client. So the list is read from the right, over all its lines, and proxies that are
/// trusted are passed over: the first address that is not one of theirs is the client's. If all are, it is the leftmost.
/// An address may have a port, which is left out. When the entry that counts is no address, the request counts as the
/// peer's own.
///
/// # Protocols
///
/// Of a list in `X-Forwarded-Proto` the last entry counts, as in Tornado; anything but `http` and `https` is ignored.
///
/// # Which headers
///
/// `X-Forwarded-For` and `X-Forwarded-Proto`, unless [`remote_ip_from`](XHeaders::remote_ip_from) and
/// [`protocol_from`](XHeaders::protocol_from) name others. **Name only headers that your proxy sets itself or removes.** A
/// header that it passes on is the client's, and the client is then who it says it is. Tornado reads `X-Real-IP` and
/// `X-Scheme` before the others, whether the proxy knows them or not.
///
/// # Examples
///
/// ```
/// use httpserver::{HttpServer, IOLoop, Request, ServerOptions, XHeaders};
/// # use httpserver::IOStream;
///
/// let nginx = XHeaders::trusting(["127.0.0.1".parse()?, "::1".parse()?]);
/// let whoami = async |request: Request| match request.remote_ip() {
///     Some(ip) => format!("{ip} by {}\n", request.protocol()),
///     None => "somebody on this machine\n".to_owned(),
/// };
/// let server = HttpServer::with_options(whoami, ServerOptions::new().xheaders(nginx));
/// # let addr = server.listen(("127.0.0.1", 0))?.local_addr();
/// # let answer = IOLoop::current().run_sync(async {
/// #     let nginx = IOStream::connect(addr).await?;
/// #     nginx.write("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n\
/// #         X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n").await?;
/// #     nginx.read_until_close().await
/// # })?;
/// # assert!(answer.ends_with(b"\r\n\r\n192.0.2.1 by https\n"));
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XHeaders {
    trusted: Vec<IpNetwork>,
    /// Names, in the order in which they are looked for.
    remote_ip: Vec<String>,
    protocol: Vec<String>,
    readers: Readers,
}

/// What looks into the headers, by pointers: a program that never makes an [`XHeaders`] is built without it.
#[derive(Clone, Copy)]
struct Readers {
    remote_ip: fn(&XHeaders, Option<IpAddr>, &Headers) -> Option<IpAddr>,
    protocol: fn(&XHeaders, Option<IpAddr>, &Headers) -> Option<Protocol>,
}

/// The header of RFC 7239, which has a syntax of its own.
const FORWARDED: &str = "Forwarded";

impl XHeaders {
    /// Believes the headers of every peer in one of `networks`, and passes over these networks in a list.
    pub fn trusting(networks: impl IntoIterator<Item = IpNetwork>) -> XHeaders {
        XHeaders {
            trusted: networks.into_iter().collect(),
            remote_ip: vec!["X-Forwarded-For".to_owned()],
            protocol: vec!["X-Forwarded-Proto".to_owned()],
            readers: Readers { remote_ip: XHeaders::read_remote_ip, protocol: XHeaders::read_protocol },
        }
    }

    /// Sets the headers that tell the client's address; the first of them that a request has counts. `X-Forwarded-For` by
    /// default. `X-Real-IP` and headers of providers, such as `CF-Connecting-IP`, are read in the same way; `Forwarded` is
    /// read by RFC 7239.
    ///
    /// # Examples
    ///
    /// Exactly as Tornado, for a proxy that sets all of these:
    ///
    /// ```
    /// use httpserver::XHeaders;
    ///
    /// let proxies = XHeaders::trusting(["10.0.0.0/8".parse()?])
    ///     .remote_ip_from(["X-Real-IP", "X-Forwarded-For"])
    ///     .protocol_from(["X-Scheme", "X-Forwarded-Proto"]);
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[must_use]
    pub fn remote_ip_from<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> XHeaders {
        self.remote_ip = names.into_iter().map(N::into).collect();
        self
    }

    /// Sets the headers that tell by which protocol the client came; the first of them that a request has counts.
    /// `X-Forwarded-Proto` by default; `X-Scheme` is another usual name. `Forwarded` is read by RFC 7239: the `proto` that
    /// stands beside the client's address.
    #[must_use]
    pub fn protocol_from<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> XHeaders {
        self.protocol = names.into_iter().map(N::into).collect();
        self
    }

    /// Whether the peer is a proxy.
    #[inline]
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|ip| self.is_proxy(ip))
    }

    #[inline]
    fn is_proxy(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(ip))
    }

    /// The client's address, if `peer` has said it.
    #[inline]
    pub(crate) fn remote_ip(&self, peer: Option<IpAddr>, headers: &Headers) -> Option<IpAddr> {
        (self.readers.remote_ip)(self, peer, headers)
    }

    /// The client's protocol, if `peer` has said it.
    #[inline]
    pub(crate) fn protocol(&self, peer: Option<IpAddr>, headers: &Headers) -> Option<Protocol> {
        (self.readers.protocol)(self, peer, headers)
    }

    #[inline]
    fn read_remote_ip(&self, peer: Option<IpAddr>, headers: &Headers) -> Option<IpAddr> {
        match self.believed(&self.remote_ip, peer, headers)? {
            FORWARDED => self.client(elements(headers)?.iter().map(|element| element.node())),
            name => self.client(entries(headers, name).map(parse_node)),
        }
    }

    #[inline]
    fn read_protocol(&self, peer: Option<IpAddr>, headers: &Headers) -> Option<Protocol> {
        let name = self.believed(&self.protocol, peer, headers)?;
        let value = match name {
            FORWARDED => {
                let elements = elements(headers)?.into_iter();
                self.decisive(elements.map(|element| (element.node(), element.proto())))?.1?
            }
            name => entries(headers, name).last()?.into(),
        };
        let protocols = [Protocol::Http, Protocol::Https];
        protocols.into_iter().find(|protocol| value.eq_ignore_ascii_case(protocol.as_str().as_bytes()))
    }

    /// The first of these headers that the request has, when its peer is to be believed.
    #[inline]
    fn believed<'n>(&self, names: &'n [String], peer: Option<IpAddr>, headers: &Headers) -> Option<&'n str> {
        let name = names.iter().find(|name| headers.contains(name)).filter(|_| self.trusts(peer))?;
        Some(if name.eq_ignore_ascii_case(FORWARDED) { FORWARDED } else { name })
    }

    #[inline]
    fn client(&self, nodes: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        self.decisive(nodes.map(|node| (node, ())))?.0
    }

    /// The rightmost entry that is not a trusted proxy's, or else the leftmost. An entry without an address is nobody's that
    /// is trusted: what stands to the left of it was written by somebody unknown.
    #[inline]
    fn decisive<T>(&self, entries: impl Iterator<Item = (Option<IpAddr>, T)>) -> Option<(Option<IpAddr>, T)> {
        let (mut first, mut found) = (None, None);
        for entry in entries {
            match entry.0.is_some_and(|ip| self.is_proxy(ip)) {
                false => found = Some(entry),
                true => first = first.or(Some(entry)),
            }
        }
        found.or(first)
    }
}

/// There is one reader of each kind; addresses of functions, in contrast, may differ from one copy to the next.
impl PartialEq for Readers {
    #[inline]
    fn eq(&self, _: &Readers) -> bool {
        true
    }
}

impl Eq for Readers {}

impl fmt::Debug for Readers {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What stands between the commas of all lines with this name. Quotes mean nothing in these headers: to a parser that knows
/// them, one that a client has sent could hide the entry that a proxy adds behind it.
#[inline]
fn entries<'h>(headers: &'h Headers, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let entries = headers.get_all(name).flat_map(|line| line.split(|&byte| byte == b','));
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
}
