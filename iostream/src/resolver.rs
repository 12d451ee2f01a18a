//! From host names to addresses.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    pin::Pin,
    rc::Rc,
};

use ioloop::run_in_executor;

use crate::{Error, Result, netutil::Family};

/// The future of a [`Resolver`].
pub type ResolveFuture = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>>>>>;

/// Finds the addresses of a host.
///
/// [`TcpClient`](crate::TcpClient) asks one. [`ThreadedResolver`] is the default, [`OverrideResolver`] sends some names
/// elsewhere, and one of your own may ask a name server or a service registry. Ask one through [`resolve`].
///
/// # Examples
///
/// A resolver for tests, which knows one name:
///
/// ```
/// use iostream::{Error, netutil::Family, resolver::{ResolveFuture, Resolver, resolve}};
/// use std::io;
///
/// struct OneName;
///
/// impl Resolver for OneName {
///     fn resolve(&self, host: &str, port: u16, _family: Family) -> ResolveFuture {
///         let result = match host {
///             "db.example" => Ok(vec![([127, 0, 0, 1], port).into()]),
///             _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such host").into()),
///         };
///         Box::pin(async { result })
///     }
/// }
///
/// let addrs = iostream::IOLoop::current().run_sync(resolve(&OneName, "db.example", 5432, Family::Any))?;
/// assert_eq!(addrs, [([127, 0, 0, 1], 5432).into()]);
/// # Ok::<_, Error>(())
/// ```
pub trait Resolver: 'static {
    /// The addresses of `host`, each with `port`, those to be preferred first. Those of another family than `family` are
    /// dropped by the caller. Must not block: the future may await
    /// [`run_in_executor`].
    ///
    /// # Errors
    ///
    /// Whatever the resolver meets; usually [`Error::Resolve`].
    fn resolve(&self, host: &str, port: u16, family: Family) -> ResolveFuture;
}

/// Asks `resolver`, as [`TcpClient`](crate::TcpClient) does: an empty name is refused, and
/// addresses of another family and repeated ones are dropped.
///
/// # Errors
///
/// The resolver's; [`Error::Resolve`] when no address is left.
pub async fn resolve(resolver: &dyn Resolver, host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>> {
    let found = resolver.resolve(host, port, family).await?;
    let mut addrs = Vec::with_capacity(found.len());
    for addr in found {
        if family.matches(&addr) && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(nothing_found(host));
    }
    Ok(addrs)
}

#[inline]
fn nothing_found(host: &str) -> Error {
    Error::resolve(host)(io::Error::new(io::ErrorKind::NotFound, "the name has no address of the wanted family"))
}

/// Asks the system (getaddrinfo(3)), on a thread of the loop's pool, so that the loop goes on meanwhile.
///
/// The system knows `/etc/hosts`, the name servers and whatever else `/etc/nsswitch.conf` names, and sorts addresses by
/// RFC 6724. It caches nothing by itself, so a name costs a thread's time for each connection. Numeric addresses are
/// answered at once, without a thread.
///
/// A lookup that was given up goes on in its thread until the system's own time-out, and the loop's
/// [`close`](ioloop::IOLoop::close) waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadedResolver;

impl Resolver for ThreadedResolver {
    #[inline]
    fn resolve(&self, host: &str, port: u16, _family: Family) -> ResolveFuture {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Box::pin(async move { Ok(vec![SocketAddr::new(ip, port)]) });
        }
        let host = host.to_owned();
        Box::pin(async move {
            if host.is_empty() {
                let cause = io::Error::new(io::ErrorKind::InvalidInput, "the name is empty");
                return Err(Error::resolve(&host)(cause));
            }
            let name = host.clone();
            let job = run_in_executor(move || Ok((name.as_str(), port).to_socket_addrs()?.collect()));
            // The outer error is the pool's: it has no thread.
            job.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Error::resolve(&host))
        })
    }
}

/// Sends some hosts elsewhere, and asks another resolver for the rest: what `/etc/hosts` does, for one program. For tests
/// that must not reach the real servers, and for services behind a tunnel.
///
/// The most exact entry counts: host, port and family before host and port before host alone. Hosts are compared without
/// regard to case.
///
/// # Examples
///
/// ```
/// use iostream::{netutil::Family, resolver::{OverrideResolver, ThreadedResolver, resolve}};
///
/// let resolver = OverrideResolver::new(ThreadedResolver)
///     // A host by another name or address, on the same port.
///     .host("example.com", "127.0.1.1")
///     // One port of a host, sent to another host and port.
///     .host_port(("login.example.com", 443), ("127.0.0.1", 1443))
///     // The same for those who ask for IPv6.
///     .host_port_family(("login.example.com", 443, Family::V6), ("::1", 1443));
/// let addrs = iostream::IOLoop::current().run_sync(resolve(&resolver, "login.example.com", 443, Family::Any))?;
/// assert_eq!(addrs, [([127, 0, 0, 1], 1443).into()]);
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Clone)]
pub struct OverrideResolver {
    inner: Rc<dyn Resolver>,
    hosts: HashMap<String, String>,
    ports: HashMap<(String, u16), (String, u16)>,
    families: HashMap<(String, u16, Family), (String, u16)>,
}

impl OverrideResolver {
    /// Without entries: all go to `resolver`, which also resolves what the entries name.
    pub fn new(resolver: impl Resolver) -> OverrideResolver {
        OverrideResolver {
            inner: Rc::new(resolver),
            hosts: HashMap::new(),
            ports: HashMap::new(),
            families: HashMap::new(),
        }
    }

    /// All ports of `host` are those of `instead`, a name or an address.
    #[must_use]
    #[inline]
    pub fn host(mut self, host: &str, instead: &str) -> Self {
        self.hosts.insert(host.to_ascii_lowercase(), instead.to_owned());
        self
    }

    /// One port of a host is another port of another host.
    #[must_use]
    #[inline]
    pub fn host_port(mut self, (host, port): (&str, u16), (instead, at): (&str, u16)) -> Self {
        self.ports.insert((host.to_ascii_lowercase(), port), (instead.to_owned(), at));
        self
    }

    /// As [`host_port`](OverrideResolver::host_port), for requests of this family alone. A request for
    /// [`Family::Any`] is not one for IPv4 or IPv6.
    #[must_use]
    #[inline]
    pub fn host_port_family(mut self, (host, port, family): (&str, u16, Family), (instead, at): (&str, u16)) -> Self {
        self.families.insert((host.to_ascii_lowercase(), port, family), (instead.to_owned(), at));
        self
    }
}

impl Resolver for OverrideResolver {
    #[inline]
    fn resolve(&self, host: &str, port: u16, family: Family) -> ResolveFuture {
        let name = host.to_ascii_lowercase();
        if let Some((instead, at)) = self.families.get(&(name.clone(), port, family)) {
            return self.inner.resolve(instead, *at, family);
        }
        if let Some((instead, at)) = self.ports.get(&(name.clone(), port)) {
            return self.inner.resolve(instead, *at, family);
        }
        self.inner.resolve(self.hosts.get(&name).map_or(host, String::as_str), port, family)
    }
}

impl fmt::Debug for OverrideResolver {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverrideResolver")
            .field("hosts", &self.hosts)
            .field("ports", &self.ports)
            .field("families", &self.families)
            .finish_non_exhaustive()
    }
}
