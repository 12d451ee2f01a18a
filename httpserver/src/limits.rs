use std::time::Duration;

use iostream::netutil::KeepAlive;

/// What one client may use of the server. Everything is on by default, but for the connections of one address.
///
/// There are three kinds. Sizes bound what a client can have the server hold or read. Time-outs are for clients that
/// are silent, and rates for those that trickle: one byte a minute would otherwise hold a connection for ever. Counts
/// bound how many clients there are, and for how long one keeps its connection. A time-out of `Duration::MAX` is none.
///
/// A service that takes long is not cut. The time-outs and the rate of a body run while the service waits for it; only
/// `request_timeout` counts on from the first such wait. Those of an answer run while something is queued.
///
/// | limit | default | unit | answer when exceeded |
/// |---|---|---|---|
/// | `max_head` | 64 Ki, which is also the most | bytes | 431 |
/// | `max_headers` | 100, at most 256 | lines | 431 |
/// | `max_target` | 8 Ki | bytes | 414 |
/// | `max_body` | 100 Mi | bytes | 413 |
/// | `max_collected_body` | 1 Mi | bytes | 413 |
/// | `max_unread_body` | 64 Ki | bytes | the answer carries `Connection: close` |
/// | `header_timeout` | 10 | s in all | 408 |
/// | `body_timeout` | 60 | s without a byte | 408 |
/// | `min_body_rate` | 240, after `rate_grace` | bytes/s | 408 |
/// | `request_timeout` | 3,600 | s for a body in all | 408 |
/// | `idle_timeout` | 75 | s | closed without an answer |
/// | `write_timeout` | 30 | s without a byte taken | closed |
/// | `min_write_rate` | 240, after `rate_grace` | bytes/s | closed |
/// | `rate_grace` | 60 | s | |
/// | `linger_timeout` | 5 | s without a byte | closed |
/// | `linger_time` | 30 | s in all | closed |
/// | `max_requests` | 1,000,000 | requests of a connection | the last answer carries `Connection: close` |
/// | `max_pipelined` | 64 | requests in a row | waits for the next turn of the loop |
/// | `max_connections` | 16,384 | connections | 503 |
/// | `max_connections_per_address` | off | connections | 503 |
/// | `tcp_keep_alive` | 60, 10, 3 | s of silence, s between probes, probes | closed by the kernel |
/// | `tcp_keep_alive.user_timeout` | 30 | s without an acknowledgement | closed by the kernel |
///
/// A few bounds are fixed, because no client has a use for more: a method has at most 64 bytes (else 501), the line in
/// front of a chunk 256, the size in it 16 digits (else 400), chunks at most 16 KiB more of extensions than of data (else
/// 400), and trailers 8 KiB (else 431). A TLS handshake has the time of its acceptor, 10 s unless told otherwise
/// (`TlsAcceptor::handshake_timeout`).
///
/// These hold for a server. For one request, [`Body::limit`](crate::Body::limit) and
/// [`bytes_limited`](crate::Request::bytes_limited) set how much of its body is taken, and
/// [`Body::set_timeout`](crate::Body::set_timeout), [`set_total_timeout`](crate::Body::set_total_timeout) and
/// [`set_min_rate`](crate::Body::set_min_rate) how long that may take. `max_body` holds whatever they say.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use httpserver::Limits;
///
/// let limits = Limits::default()
///     .max_body(16 * 1024 * 1024)
///     .idle_timeout(Duration::from_secs(30));
/// assert_eq!(limits.max_headers, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest request head in bytes, from the method to the empty line. Default and highest possible value: 65,536
    /// (positions within a head are kept in 16 bits); a higher one counts as 65,536. A head is held in memory as long
    /// as its request.
    pub max_head: usize,
    /// Most header lines in a request. Default 100; a value above 256 counts as 256. Browsers send about 15.
    pub max_headers: usize,
    /// Longest request target in bytes. Default 8,192; RFC 9112 3 recommends to take request lines of at least 8,000.
    pub max_target: usize,
    /// Longest request body in bytes, streamed bodies included. Default 100 MiB. An announced length is judged with the
    /// head, before the service is called; a chunked body is judged as it comes.
    pub max_body: u64,
    /// Longest body in bytes that `Request::bytes` collects in memory. Default 1 MiB.
    pub max_collected_body: usize,
    /// Bytes of a body the service did not read that are read and dropped so that the connection can be kept. The length
    /// of a chunked body is unknown: unless its end has come by then, the answer says `Connection: close`. Default
    /// 64 KiB.
    pub max_unread_body: usize,
    /// Time from the first byte of a request to the end of its head. Default 10 s in all: more bytes buy no more time.
    pub header_timeout: Duration,
    /// Longest time without a byte while the service waits for the body. Default 60 s.
    pub body_timeout: Duration,
    /// Slowest rate in bytes per second at which a body may come, counted over the time that the service waited for it:
    /// after `rate_grace` and one second for each so many bytes received, the request is refused. Default 240; 0 turns
    /// it off.
    pub min_body_rate: u32,
    /// Longest time for a whole body, from when the service first had to wait for it. Default 1 h.
    pub request_timeout: Duration,
    /// Time a connection may wait for the first byte of a request, after accept and between requests. Default 75 s.
    /// There is no answer then, because no request is outstanding that it could belong to (RFC 9112 9.2).
    pub idle_timeout: Duration,
    /// Longest time in which the client takes no byte of an answer. Default 30 s. A byte counts as taken when the
    /// kernel has room for it, which may be some time before it reaches the client.
    pub write_timeout: Duration,
    /// Slowest rate in bytes per second at which a client may take what is queued for it; counted as `min_body_rate` is.
    /// Default 240; 0 turns it off.
    pub min_write_rate: u32,
    /// Time that either rate allows before any byte has to have moved. Default 60 s: no less than the time-outs above,
    /// which are for peers that are silent; the rates are for those that trickle.
    pub rate_grace: Duration,
    /// When the connection ends with input unread, the server reads and drops it, so that the client sees the answer
    /// instead of a reset. This is the longest silence in which it goes on waiting for the client's end. Default 5 s.
    pub linger_timeout: Duration,
    /// Longest time spent on that reading and dropping in all. Default 30 s.
    pub linger_time: Duration,
    /// Pipelined requests of one connection that are answered in one turn of the loop. Default 64. The next ones are
    /// answered in the next turn, behind the other connections.
    pub max_pipelined: usize,
    /// Requests of one connection; the answer to the last one says `Connection: close`. Default 1,000,000; 0 turns it off.
    /// A connection that lives for ever stays with the process that took it, so a lower number lets clients spread anew
    /// behind a balancer. A new connection costs about as much as ten requests.
    pub max_requests: u32,
    /// Most connections at once; one more is answered 503 and closed. Default 16,384; 0 turns it off. Every process has a
    /// limit of descriptors too (`RLIMIT_NOFILE`), at which new connections wait.
    pub max_connections: usize,
    /// Most connections at once from one address, or from one IPv6 network of 64 bits. Off by default (0): behind a proxy,
    /// all come from one.
    pub max_connections_per_address: usize,
    /// When the kernel gives up a peer that has vanished: TCP keep-alive for idle connections, the user time-out for those
    /// with something to send. Default 60 s of silence, then 3 probes 10 s apart, and 30 s without an acknowledgement; see
    /// [`KeepAlive`], also for how the two work together. Set on the sockets that [`listen`](crate::HttpServer::listen) and
    /// [`bind`](crate::HttpServer::bind) make; those from elsewhere stay as they are.
    pub tcp_keep_alive: KeepAlive,
    /// Whether LF alone ends a line of a request's head, as CR LF does (RFC 9112 2.2 permits it). Off by default: behind a
    /// proxy that does not do the same, a client could have requests served that the proxy has not seen. It is meant for
    /// scripts and devices that cannot be changed, on a port of their own. The lines of chunked bodies end in CR LF either
    /// way.
    pub accept_bare_lf: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_head: 64 * 1024,
            max_headers: 100,
            max_target: 8 * 1024,
            max_body: 100 * 1024 * 1024,
            max_collected_body: Limits::DEFAULT_MAX_COLLECTED_BODY,
            max_unread_body: 64 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(5),
            linger_time: Duration::from_secs(30),
            min_body_rate: 240,
            request_timeout: Duration::from_secs(3600),
            min_write_rate: 240,
            rate_grace: Duration::from_secs(60),
            max_pipelined: 64,
            max_requests: 1_000_000,
            max_connections: 16_384,
            max_connections_per_address: 0,
            tcp_keep_alive: KeepAlive::new(),
            accept_bare_lf: false,
        }
    }
}

impl Limits {
    /// The default of [`max_collected_body`](Limits::max_collected_body): 1 MiB.
    pub const DEFAULT_MAX_COLLECTED_BODY: usize = 1024 * 1024;

    /// How long `rate`, in bytes per second, allows for `bytes`, its grace included. For ever at a rate of 0.
    pub(crate) fn time_for(&self, bytes: u64, rate: u32) -> Duration {
        match bytes.checked_div(u64::from(rate)) {
            Some(seconds) => self.rate_grace.saturating_add(Duration::from_secs(seconds)),
            None => Duration::MAX,
        }
    }

    /// Whether a connection may have another request behind that with this number, the first of which is 1.
    #[inline]
    pub(crate) fn allows_another(&self, serial: u32) -> bool {
        // One less than 0, which is none, wraps to the largest number there is.
        serial <= self.max_requests.wrapping_sub(1)
    }
}

macro_rules! setters {
    ($($field:ident: $ty:ty;)*) => {
        impl Limits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Limits::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    max_head: usize;
    max_headers: usize;
    max_target: usize;
    max_body: u64;
    max_collected_body: usize;
    max_unread_body: usize;
    header_timeout: Duration;
    body_timeout: Duration;
    idle_timeout: Duration;
    write_timeout: Duration;
    min_body_rate: u32;
    request_timeout: Duration;
    min_write_rate: u32;
    rate_grace: Duration;
    linger_timeout: Duration;
    linger_time: Duration;
    max_pipelined: usize;
    max_requests: u32;
    max_connections: usize;
    max_connections_per_address: usize;
    tcp_keep_alive: KeepAlive;
    accept_bare_lf: bool;
}
