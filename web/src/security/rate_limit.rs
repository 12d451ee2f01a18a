//! How often one client may ask.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use httpserver::{IOLoop, StatusCode};

use crate::{
    error::{Error, HttpError, Result},
    exchange::Exchange,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that answers 429 with `Retry-After` to clients that ask too often.
///
/// Each client has a bucket of tokens, which fills up at a steady rate, and each request takes one. So a client may ask many
/// times at once and then at that rate. Refused requests take none. Clients are told apart by their
/// [address](crate::Exchange::remote_ip), of IPv6 by its first 64 bits, because whoever has one has as many as they like;
/// or [by something else](RateLimit::by). Behind a proxy set
/// [`ServerOptions::xheaders`](crate::ServerOptions::xheaders), or all clients are one. A client without an address, at a Unix
/// socket, is not limited.
///
/// # Memory
///
/// A client with a full bucket is forgotten, since it is as good as new. There are 100,000 others at most, of some 100 bytes
/// each however long their keys are, unless [`max_clients`](RateLimit::max_clients) says otherwise; one more pushes out the one
/// whose bucket is nearest to being full. So an attacker with very many addresses makes the limit forget the quiet ones, and
/// never its own loudest.
///
/// Clones share the buckets, and each thread has its own. Costs two look-ups in trees and tables, below a microsecond.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, Route, security::RateLimit};
///
/// async fn log_in(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("Wrong password");
///     Ok(())
/// }
///
/// // Ten at once, and then one every six seconds.
/// let limit = RateLimit::per_address(10, Duration::from_secs(60));
/// let application = Application::new().add(Route::post("/login", log_in).wrap(limit));
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     for _ in 0..10 {
/// #         client.post("/login").send().await.assert_status(200);
/// #     }
/// #     client.post("/login").send().await.assert_status(429).assert_header("retry-after", "6");
/// # });
/// ```
#[derive(Clone)]
pub struct RateLimit {
    key: Rc<FindKey>,
    /// In which a bucket gets a token.
    interval: Duration,
    burst: u32,
    buckets: Rc<RefCell<Buckets>>,
}

/// Finds out who asks.
type FindKey = dyn Fn(&Exchange) -> Option<Key>;

/// Who a bucket belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
    Text(Rc<str>),
    /// Of a long text. Clients choose keys, and would choose how much memory they take.
    Digest([u64; 2]),
}

/// Longer keys, in bytes, are kept as a digest.
const MOST_TEXT: usize = 64;

/// Buckets that are not full. Of each there is only the time at which it will be: all else follows from that.
struct Buckets {
    full_at: HashMap<Key, Full>,
    /// The same by time. The number tells those apart that are full together.
    by_time: BTreeMap<Full, Key>,
    next_number: u64,
    max: usize,
}

type Full = (Instant, u64);

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl RateLimit {
    /// Lets each address ask `requests` times in `period`: all at once, or evenly.
    ///
    /// # Panics
    ///
    /// When one of the two is zero.
    #[track_caller]
    #[inline]
    pub fn per_address(requests: u32, period: Duration) -> RateLimit {
        RateLimit::new(requests, period, Rc::new(|exchange| exchange.remote_ip().map(Key::of_address)))
    }

    /// Lets each key ask `requests` times in `period`: the user, or what else `key` finds in a request. Without a key it is not
    /// limited.
    ///
    /// # Panics
    ///
    /// When one of the two is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use web::{Exchange, security::RateLimit};
    ///
    /// let limit = RateLimit::by(1000, Duration::from_secs(3600), |exchange: &Exchange| {
    ///     exchange.header("X-Api-Key").map(str::to_owned)
    /// });
    /// ```
    #[track_caller]
    #[inline]
    pub fn by(requests: u32, period: Duration, key: impl Fn(&Exchange) -> Option<String> + 'static) -> RateLimit {
        let hashers = [RandomState::new(), RandomState::new()];
        RateLimit::new(requests, period, Rc::new(move |exchange| Some(Key::of_text(key(exchange)?, &hashers))))
    }

    #[track_caller]
    #[inline]
    fn new(requests: u32, period: Duration, key: Rc<FindKey>) -> RateLimit {
        assert!(requests > 0 && !period.is_zero(), "{requests} requests in {period:?} are none");
        let buckets = Buckets { full_at: HashMap::new(), by_time: BTreeMap::new(), next_number: 0, max: 100_000 };
        // What is longer than a century never comes.
        let interval = (period / requests).clamp(Duration::from_nanos(1), CENTURY);
        RateLimit { key, interval, burst: requests, buckets: Rc::new(RefCell::new(buckets)) }
    }

    /// Sets how many requests may come at once, whatever the rate: how large a bucket is. As many as in a period by default.
    ///
    /// # Panics
    ///
    /// When it is zero.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn burst(mut self, requests: u32) -> RateLimit {
        assert!(requests > 0, "no request could ever come");
        self.burst = requests;
        self
    }

    /// Sets how many clients are known at most; 100,000 by default. At least one.
    #[must_use]
    #[inline]
    pub fn max_clients(self, max: usize) -> RateLimit {
        self.buckets.borrow_mut().max = max.max(1);
        self
    }

    /// How many clients are known: those whose bucket is not full.
    #[inline]
    pub fn clients(&self) -> usize {
        let mut buckets = self.buckets.borrow_mut();
        buckets.forget_full(IOLoop::current().time());
        buckets.full_at.len()
    }

    /// Takes a token, or says how long there will be none.
    #[inline]
    fn take(&self, key: Key) -> Result<(), Duration> {
        let now = IOLoop::current().time();
        let mut buckets = self.buckets.borrow_mut();
        buckets.forget_full(now);
        let known = buckets.full_at.get(&key).copied();
        let full_at = known.map_or(now, |(at, _)| at) + self.interval;
        // An empty bucket takes so long to fill up. Beyond that there is no token to take.
        let size = self.interval.saturating_mul(self.burst);
        match full_at.saturating_duration_since(now).checked_sub(size) {
            Some(missing) if !missing.is_zero() => Err(missing),
            _ => {
                buckets.set(key, known, full_at);
                Ok(())
            }
        }
    }
}

impl Buckets {
    /// Drops those that are full.
    #[inline]
    fn forget_full(&mut self, now: Instant) {
        while self.by_time.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            self.forget_first();
        }
    }

    #[inline]
    fn forget_first(&mut self) {
        if let Some((_, key)) = self.by_time.pop_first() {
            self.full_at.remove(&key);
        }
    }

    #[inline]
    fn set(&mut self, key: Key, known: Option<Full>, at: Instant) {
        match known {
            Some(known) => drop(self.by_time.remove(&known)),
            None if self.full_at.len() >= self.max => self.forget_first(),
            None => {}
        }
        self.next_number += 1;
        let full = (at, self.next_number);
        self.by_time.insert(full, key.clone());
        self.full_at.insert(key, full);
    }
}

impl Key {
    /// The digest is of 128 bits, by a key that nobody outside knows: two texts with the same one cannot be found.
    #[inline]
    fn of_text(text: String, hashers: &[RandomState; 2]) -> Key {
        match text.len() {
            ..=MOST_TEXT => Key::Text(text.into()),
            _ => Key::Digest(hashers.each_ref().map(|hasher| hasher.hash_one(&text))),
        }
    }

    #[inline]
    fn of_address(ip: IpAddr) -> Key {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Key::V4(ip.to_bits()),
            IpAddr::V6(ip) => Key::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

impl Wrap for RateLimit {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        if let Some(key) = (self.key)(exchange)
            && let Err(wait) = self.take(key)
        {
            return Err(too_many(wait));
        }
        next.run(exchange).await
    }
}

/// Without a text for the log: the line of the access log is enough for each of very many.
#[cold]
#[inline]
fn too_many(wait: Duration) -> Error {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HttpError::new(StatusCode::TOO_MANY_REQUESTS).header("Retry-After", seconds.to_string()).into()
}

impl fmt::Debug for RateLimit {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("interval", &self.interval)
            .field("burst", &self.burst)
            .field("clients", &self.buckets.borrow().full_at.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_takes_no_more_memory_than_a_short_one() {
        let hashers = [RandomState::new(), RandomState::new()];
        let key = |length: usize, end: &str| Key::of_text("k".repeat(length) + end, &hashers);
        assert!(matches!(key(63, "1"), Key::Text(_)));
        assert!(matches!(key(64, "1"), Key::Digest(_)));
        assert!(matches!(key(60_000, "1"), Key::Digest(_)));
        assert_eq!(key(60_000, "1"), key(60_000, "1"));
        assert_ne!(key(60_000, "1"), key(60_000, "2"));
    }
}
