//! The PROXY protocol of HAProxy, versions 1 and 2: how a proxy tells a server whose connection it passes on.
//!
//! Behind a proxy every connection comes from the proxy. One that speaks this protocol (HAProxy, nginx, Envoy, the load
//! balancers of the clouds) begins each connection with a header that names the client. [`ProxyProtocol`] makes a
//! [`TcpServer`](crate::TcpServer) read it, so that its handler is given the client's address, and connections are counted by
//! it. [`read_header`] is for servers that accept by themselves, [`Header`] and [`parse`] for proxies.
//!
//! The header is believed, so it must come from a proxy. It is read from the peers that are trusted, who have to send one,
//! and from nobody else: a server that would guess could be told anything by anyone.
//!
//! The specification is <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.

mod header;
mod v1;
mod v2;

use std::{fmt, future::Future, io, pin::Pin, time::Duration};

use crate::{Error, IOStream, Parsed, Peer, Result, netutil::IpNetwork};

pub use self::header::{Header, Tlv};

/// Which peers of a server are proxies, and how long their headers may take.
///
/// Peers outside the trusted networks are served as on any other port, with the address they come from; a header that one
/// of them sends is input like any other. Peers over a Unix socket are trusted: who may connect to it is a matter of its
/// file's permissions.
///
/// # Examples
///
/// ```
/// use iostream::{IOStream, ServerOptions, TcpServer, proxy_protocol::ProxyProtocol};
///
/// let proxies = ProxyProtocol::trusting(["10.0.0.0/8".parse()?, "::1".parse()?]);
/// let server = TcpServer::with_options(
///     async |stream: IOStream, client| stream.write(format!("hello, {client}\n")).await,
///     ServerOptions::new().proxy_protocol(proxies),
/// );
/// # server.listen(("127.0.0.1", 0))?.stop();
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Clone)]
pub struct ProxyProtocol {
    trusted: Vec<IpNetwork>,
    timeout: Duration,
    /// [`read_in_time`], by a pointer: a program that never makes a `ProxyProtocol` is built without the parsers.
    read: for<'s> fn(&'s IOStream, Duration) -> Reading<'s>,
}

type Reading<'s> = Pin<Box<dyn Future<Output = Result<Header>> + 's>>;

impl ProxyProtocol {
    /// Expects a header from every peer in one of `networks`, within 5 s.
    pub fn trusting(networks: impl IntoIterator<Item = IpNetwork>) -> ProxyProtocol {
        let trusted = networks.into_iter().collect();
        ProxyProtocol { trusted, timeout: Duration::from_secs(5), read: read_in_time }
    }

    /// Sets how long a header may take; the specification asks for 3 s at least, the time of a lost packet.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Whether `peer` is a proxy.
    #[inline]
    pub fn trusts(&self, peer: &Peer) -> bool {
        peer.ip().is_none_or(|ip| self.trusted.iter().any(|network| network.contains(ip)))
    }

    /// Reads the header of a proxy, as [`read_header`], within the [time-out](ProxyProtocol::timeout).
    ///
    /// # Errors
    ///
    /// As [`read_header`]. [`Error::Io`], for which [`Error::is_timed_out`] holds, when it takes longer.
    #[inline]
    pub fn read_header(&self, stream: &IOStream) -> impl Future<Output = Result<Header>> {
        (self.read)(stream, self.timeout)
    }
}

#[inline]
fn read_in_time(stream: &IOStream, limit: Duration) -> Reading<'_> {
    Box::pin(async move {
        ioloop::timeout(limit, read_header(stream)).await.unwrap_or_else(|_| {
            let text = format!("no header of the PROXY protocol within {limit:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
        })
    })
}

impl PartialEq for ProxyProtocol {
    #[inline]
    fn eq(&self, other: &ProxyProtocol) -> bool {
        self.trusted == other.trusted && self.timeout == other.timeout
    }
}

impl Eq for ProxyProtocol {}

impl fmt::Debug for ProxyProtocol {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol").field("trusted", &self.trusted).field("timeout", &self.timeout).finish()
    }
}

/// Reads a header from the beginning of a stream, and not a byte more. Without a time-out: put
/// [`timeout`](ioloop::timeout) around it.
///
/// # Errors
///
/// [`Error::ProxyHeader`] when there is none, as soon as that is certain; nothing is consumed then. Otherwise as
/// [`IOStream::read_with`].
///
/// # Cancel safety
///
/// Dropping the future leaves what has come in the stream.
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, Peer, memory, proxy_protocol::read_header};
///
/// let (server, proxy) = memory::pair(1024);
/// IOLoop::current().run_sync(async {
///     proxy.write("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n").await?;
///     let header = read_header(&server).await?;
///     assert_eq!(header.source, Some(Peer::Inet(([192, 168, 0, 1], 56324).into())));
///     assert_eq!(server.read_until(b"\n").await?, "GET / HTTP/1.1\r\n");
///     Ok::<_, iostream::Error>(())
/// })?;
/// # Ok::<_, iostream::Error>(())
/// ```
#[expect(clippy::manual_async_fn, reason = "a public async function is compiled here, whether it is called or not")]
#[inline]
pub fn read_header(stream: &IOStream) -> impl Future<Output = Result<Header>> {
    async {
        let read = stream.read_with(|bytes| match parse(bytes) {
            Ok(None) => Parsed::Incomplete,
            Ok(Some((header, consumed))) => Parsed::Done { consumed, value: Ok(header) },
            Err(error) => Parsed::Done { consumed: 0, value: Err(error) },
        });
        read.await?
    }
}

/// Parses the header at the beginning of `bytes`. Returns it with its length, and `None` while `bytes` are only a part of
/// one.
///
/// # Errors
///
/// [`Error::ProxyHeader`] when they are not the beginning of a header.
///
/// # Examples
///
/// ```
/// use iostream::proxy_protocol::parse;
///
/// let (header, length) = parse(b"PROXY UNKNOWN\r\nhello")?.expect("it is complete");
/// assert_eq!((header.source, length), (None, 15));
/// assert!(parse(b"PROXY TCP4 192.168.0.1")?.is_none());
/// assert!(parse(b"GET / HTTP/1.1\r\n").is_err());
/// # Ok::<_, iostream::Error>(())
/// ```
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>> {
    let parsed = match bytes.first() {
        None => return Ok(None),
        Some(b'P') => v1::parse(bytes),
        Some(_) => v2::parse(bytes),
    };
    parsed.map_err(|reason| Error::ProxyHeader { reason })
}

/// What the parsers of the two versions return.
type Outcome = Result<Option<(Header, usize)>, &'static str>;

/// Whether `bytes` begin with `signature`; `None` when they are too short to tell.
#[inline]
fn begins_with(bytes: &[u8], signature: &[u8]) -> Option<bool> {
    let count = bytes.len().min(signature.len());
    match bytes[..count] == signature[..count] {
        true if count < signature.len() => None,
        is_same => Some(is_same),
    }
}
