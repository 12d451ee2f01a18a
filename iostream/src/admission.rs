//! How many connections are taken on, in all and from one address.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt, mem,
    net::IpAddr,
    num::NonZeroU32,
    rc::Rc,
};

use ioloop::{IOLoop, move_ahead};
use slab::Slab;

use crate::burst::Burst;

/// How many connections may be open at a time.
///
/// A connection at the limit is refused; the connections that are open go on. Every process has a limit of descriptors
/// too (`RLIMIT_NOFILE`), which is met first when it is lower, and at which new connections wait instead.
///
/// # Examples
///
/// ```
/// use iostream::{ConnectionLimits, IOStream, TcpServer};
///
/// let limits = ConnectionLimits::new().max_connections(1000).max_per_address(20);
/// let server = TcpServer::with_limits(async |stream: IOStream, _peer| stream.write("hello\n").await, limits);
/// # server.listen(("127.0.0.1", 0))?.stop();
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// The most connections in all; 16,384 by default, and 0 is no limit.
    pub max_connections: usize,
    /// The most connections from one address; 0 by default, which is no limit. An IPv6 address counts by its first 64 bits,
    /// because one subscriber has all the others. Behind a proxy all connections have the proxy's address.
    pub max_per_address: usize,
}

impl ConnectionLimits {
    /// The defaults.
    pub fn new() -> Self {
        ConnectionLimits { max_connections: 16_384, max_per_address: 0 }
    }

    /// Sets [`max_connections`](ConnectionLimits::max_connections).
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets [`max_per_address`](ConnectionLimits::max_per_address).
    #[must_use]
    pub fn max_per_address(mut self, connections: usize) -> Self {
        self.max_per_address = connections;
        self
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits::new()
    }
}

/// Counts connections against [`ConnectionLimits`]: for servers that accept by themselves. [`TcpServer`](crate::TcpServer)
/// has one inside.
///
/// A handle: clones count together. Admitting takes the same time however many connections there are. With a limit per
/// address, each address that has connections takes about 60 bytes.
///
/// # Examples
///
/// ```
/// use iostream::{Admission, ConnectionLimits, Refusal};
///
/// let admission = Admission::new(ConnectionLimits::new().max_connections(1));
/// let peer = [127, 0, 0, 1].into();
/// let first = admission.admit(peer).expect("the first");
/// assert_eq!(admission.admit(peer).unwrap_err(), Refusal::TooMany { limit: 1 });
/// drop(first);
/// assert!(admission.admit(peer).is_ok());
/// ```
#[derive(Clone)]
pub struct Admission {
    shared: Rc<Shared>,
}

struct Shared {
    limits: ConnectionLimits,
    open: Cell<usize>,
    /// Used only with a limit per address.
    addresses: RefCell<Addresses>,
    refusals: Burst,
}

/// Why a connection is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are [`max_connections`](ConnectionLimits::max_connections) open.
    #[error("{limit} connections are open, which is the limit")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// There are [`max_per_address`](ConnectionLimits::max_per_address) open from this address.
    #[error("{limit} connections of {address} are open, which is the limit for one address")]
    TooManyFromAddress {
        /// The limit.
        limit: usize,
        /// The address; of an IPv6 network, its first.
        address: IpAddr,
    },
}

/// A connection's place within the limits. It is given up when this is dropped;
/// [`IOStream::attach`](crate::IOStream::attach) makes it last as long as the descriptor.
#[must_use = "the connection counts for as long as this lives"]
pub struct Admitted {
    shared: Rc<Shared>,
    /// The entry of its address, or [`NO_ADDRESS`].
    entry: u32,
}

/// Without a limit per address there are no entries.
const NO_ADDRESS: u32 = u32::MAX - 1;

/// The entry has been taken out.
const TAKEN: u32 = u32::MAX;

/// An [`Admitted`] without the way to its [`Admission`], made by [`Admitted::into_entry`]: four bytes instead of sixteen,
/// also in an `Option`, for who has thousands of them and knows the admission.
///
/// Give it back to [`Admission::restore`] when the connection ends. The connection counts until then: one that is merely
/// dropped counts for ever.
#[derive(Debug)]
#[must_use = "the connection counts until this is restored and dropped"]
pub struct AdmittedEntry(NonZeroU32);

impl Admission {
    /// Nothing is admitted yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        let shared = Shared { limits, open: Cell::new(0), addresses: RefCell::default(), refusals: Burst::default() };
        Admission { shared: Rc::new(shared) }
    }

    /// Takes on a connection from `peer`, or says why not.
    ///
    /// Refusals are logged as a warning at the beginning of a burst, and once a minute while it lasts.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when a limit is reached.
    pub fn admit(&self, peer: IpAddr) -> Result<Admitted, Refusal> {
        let shared = &self.shared;
        match shared.admit(peer) {
            Ok(entry) => Ok(Admitted { shared: Rc::clone(shared), entry }),
            Err(refusal) => {
                shared.log(refusal);
                Err(refusal)
            }
        }
    }

    /// Takes on a connection that has no address, such as one over a Unix socket: only
    /// [`max_connections`](ConnectionLimits::max_connections) counts.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
    pub fn admit_without_address(&self) -> Result<Admitted, Refusal> {
        let shared = &self.shared;
        let refused = |refusal| {
            shared.log(refusal);
            refusal
        };
        shared.admit_in_all().map_err(refused)?;
        Ok(Admitted { shared: Rc::clone(shared), entry: NO_ADDRESS })
    }

    /// The place that was taken apart by [`Admitted::into_entry`]. It has to be one of this admission.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{Admission, ConnectionLimits};
    ///
    /// let admission = Admission::new(ConnectionLimits::new());
    /// let entry = admission.admit([127, 0, 0, 1].into())?.into_entry();
    /// assert_eq!(admission.connections(), 1);
    /// drop(admission.restore(entry));
    /// assert_eq!(admission.connections(), 0);
    /// # Ok::<_, iostream::Refusal>(())
    /// ```
    pub fn restore(&self, entry: AdmittedEntry) -> Admitted {
        Admitted { shared: Rc::clone(&self.shared), entry: entry.0.get() - 1 }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.open.get()
    }

    /// Puts what is known of addresses to memory that is allocated now, and returns what is left: for an
    /// [`Ebb`](ioloop::Ebb).
    #[inline]
    pub fn move_ahead(&self) -> Box<dyn Any> {
        Box::new(self.shared.addresses.borrow_mut().move_ahead())
    }
}

impl Shared {
    /// Returns the entry of the address.
    fn admit(&self, peer: IpAddr) -> Result<u32, Refusal> {
        // The limit in all comes first: it is one comparison, and no address is entered for a refused connection.
        self.admit_in_all()?;
        self.enter(peer).inspect_err(|_| self.open.set(self.open.get() - 1))
    }

    fn admit_in_all(&self) -> Result<(), Refusal> {
        let (open, limit) = (self.open.get(), self.limits.max_connections);
        if limit > 0 && open >= limit {
            return Err(Refusal::TooMany { limit });
        }
        self.open.set(open + 1);
        Ok(())
    }

    fn enter(&self, peer: IpAddr) -> Result<u32, Refusal> {
        match self.limits.max_per_address {
            0 => Ok(NO_ADDRESS),
            limit => self.addresses.borrow_mut().enter(network(peer), limit),
        }
    }

    fn release(&self, entry: u32) {
        self.open.set(self.open.get() - 1);
        if entry != NO_ADDRESS {
            self.addresses.borrow_mut().leave(entry);
        }
    }

    fn log(&self, refusal: Refusal) {
        if let Some(silent) = self.refusals.note(IOLoop::current().turn_time()) {
            log::warn!("refusing connections: {refusal} ({silent} more were refused since this was last said)");
        }
    }
}

impl Admitted {
    /// Counts a connection that was [admitted without an address](Admission::admit_without_address) for `peer`, which has
    /// turned out to be behind it. To be called once.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when that address has its limit of connections.
    #[inline]
    pub fn assign(&mut self, peer: IpAddr) -> Result<(), Refusal> {
        debug_assert_eq!(self.entry, NO_ADDRESS, "it has an address already");
        let shared = &self.shared;
        self.entry = shared.enter(peer).inspect_err(|&refusal| shared.log(refusal))?;
        Ok(())
    }

    /// Takes the place apart, to be put together again by [`Admission::restore`].
    pub fn into_entry(mut self) -> AdmittedEntry {
        // Dropped without its entry, it gives up nothing but its share of the admission.
        let entry = mem::replace(&mut self.entry, TAKEN);
        AdmittedEntry(NonZeroU32::MIN.saturating_add(entry))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.entry != TAKEN {
            self.shared.release(self.entry);
        }
    }
}

/// What counts as one address.
fn network(peer: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    // A socket for both families shows an IPv4 peer as ::ffff:a.b.c.d, which all share one network.
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & NETWORK).into()),
        address => address,
    }
}

/// The addresses that have connections, with their numbers.
#[derive(Default)]
struct Addresses {
    /// Where each stands in `counts`, so that a connection remembers four bytes instead of its address.
    entries: HashMap<IpAddr, u32>,
    counts: Slab<(IpAddr, usize)>,
}

impl Addresses {
    fn enter(&mut self, address: IpAddr, limit: usize) -> Result<u32, Refusal> {
        if let Some(&entry) = self.entries.get(&address) {
            let (_, count) = &mut self.counts[entry as usize];
            if *count >= limit {
                return Err(Refusal::TooManyFromAddress { limit, address });
            }
            *count += 1;
            return Ok(entry);
        }
        // A process has fewer descriptors than fit here.
        let entry = self.counts.insert((address, 1)) as u32;
        self.entries.insert(address, entry);
        Ok(entry)
    }

    fn move_ahead(&mut self) -> Addresses {
        let mut entries = HashMap::with_capacity(self.entries.len());
        for (&address, &entry) in &self.entries {
            entries.insert(address, entry);
        }
        let entries = mem::replace(&mut self.entries, entries);
        Addresses { entries, counts: move_ahead(&mut self.counts) }
    }

    fn leave(&mut self, entry: u32) {
        let (address, count) = &mut self.counts[entry as usize];
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.entries.remove(address);
        self.counts.remove(entry as usize);
        if self.entries.is_empty() {
            // Frees what a peak of addresses needed.
            *self = Addresses::default();
        }
    }
}

impl fmt::Debug for Admission {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("limits", &self.shared.limits)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admitted {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_up() {
        let admission = Admission::new(ConnectionLimits::new().max_connections(2));
        let peer = address("192.0.2.1");
        let places = [admission.admit(peer).unwrap(), admission.admit(peer).unwrap()];
        assert_eq!(admission.admit(peer).unwrap_err(), Refusal::TooMany { limit: 2 });
        assert_eq!(admission.connections(), 2);
        drop(places);
        assert_eq!(admission.connections(), 0);
        drop(admission.admit(peer).unwrap());
    }

    #[test]
    fn each_address_has_a_limit_of_its_own_and_ipv6_counts_by_network() {
        let admission = Admission::new(ConnectionLimits::new().max_per_address(1));
        let _places = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"]
            .map(|peer| admission.admit(address(peer)).unwrap());
        for again in ["192.0.2.1", "::ffff:192.0.2.2", "2001:db8:0:1::2"] {
            let refusal = admission.admit(address(again)).unwrap_err();
            assert!(matches!(refusal, Refusal::TooManyFromAddress { limit: 1, .. }), "{again}: {refusal}");
        }
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let admission = Admission::new(ConnectionLimits::new().max_per_address(3));
        for i in 0..1000u32 {
            let peer = IpAddr::from(i.to_be_bytes());
            let places = [admission.admit(peer).unwrap(), admission.admit(peer).unwrap()];
            drop(places);
        }
        let addresses = admission.shared.addresses.borrow();
        assert_eq!((addresses.entries.len(), addresses.counts.len()), (0, 0));
        assert_eq!(addresses.entries.capacity(), 0);
    }

    #[test]
    fn a_connection_may_get_its_address_later() {
        let admission = Admission::new(ConnectionLimits::new().max_connections(3).max_per_address(1));
        let places = [(); 3].map(|()| admission.admit_without_address().unwrap());
        assert_eq!(admission.admit_without_address().unwrap_err(), Refusal::TooMany { limit: 3 });
        let [mut first, mut second, third] = places;
        first.assign(address("192.0.2.1")).unwrap();
        second.assign(address("192.0.2.1")).unwrap_err();
        drop((second, third));
        assert_eq!(admission.connections(), 1);
        admission.admit(address("192.0.2.1")).unwrap_err();
        assert_eq!(admission.connections(), 1);
        drop(first);
        drop(admission.admit(address("192.0.2.1")).unwrap());
        assert_eq!(admission.shared.addresses.borrow().entries.len(), 0);
    }

    #[test]
    fn zero_is_no_limit() {
        let admission = Admission::new(ConnectionLimits::new().max_connections(0));
        let _places: Vec<_> = (0..20_000).map(|_| admission.admit(address("::1")).unwrap()).collect();
        assert_eq!(admission.connections(), 20_000);
    }
}
