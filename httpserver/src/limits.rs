use std::time::Duration;

/// What one client may use of the server. Everything is on by default.
///
/// A few bounds are fixed, because no client has a use for more: a method has at most 64 bytes (else 501), the line in
/// front of a chunk 256, the size in it 16 digits (else 400), and the trailers of a body 8 KiB (else 431).
///
/// | field | default | answer when exceeded |
/// |---|---|---|
/// | `max_head` | 64 KiB | 431 |
/// | `max_headers` | 100 lines | 431 |
/// | `max_target` | 8 KiB | 414 |
/// | `max_body` | 100 MiB | 413 |
/// | `max_collected_body` | 1 MiB | 413 |
/// | `max_unread_body` | 64 KiB | the answer carries `Connection: close` |
/// | `header_timeout` | 10 s | 408 |
/// | `body_timeout` | 60 s | 408 |
/// | `idle_timeout` | 75 s | closed without an answer |
/// | `write_timeout` | 30 s | closed |
/// | `max_linger`, `linger_timeout` | 256 KiB, 2 s | closed |
/// | `max_pipelined` | 64 requests | waits for the next turn of the loop |
///
/// ```
/// use std::time::Duration;
/// use httpserver::Limits;
///
/// let limits = Limits::default()
///     .with_max_body(16 * 1024 * 1024)
///     .with_idle_timeout(Duration::from_secs(30));
/// assert_eq!(limits.max_headers, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest request head in bytes, from the method to the empty line. Default and highest possible value: 65,536
    /// (positions within a head are kept in 16 bits); a higher one counts as 65,536.
    pub max_head: usize,
    /// Most header lines in a request. Default 100; a value above 256 counts as 256.
    pub max_headers: usize,
    /// Longest request target in bytes. Default 8,192.
    pub max_target: usize,
    /// Longest request body in bytes, streamed bodies included. Default 100 MiB.
    pub max_body: u64,
    /// Longest body in bytes that `Request::bytes` collects in memory. Default 1 MiB.
    pub max_collected_body: usize,
    /// Bytes of a body the service did not read that are read and dropped so that the connection can be kept. Of a
    /// chunked body, whose length nobody knows, as many may come after the answer. Default 64 KiB.
    pub max_unread_body: usize,
    /// Time from the first byte of a request to the end of its head. Default 10 s.
    pub header_timeout: Duration,
    /// Longest time without a byte while the service waits for the body. Default 60 s.
    pub body_timeout: Duration,
    /// Time a connection may wait for the first byte of a request, after accept and between requests. Default 75 s.
    pub idle_timeout: Duration,
    /// Longest time in which the client takes no byte of an answer. Default 30 s.
    pub write_timeout: Duration,
    /// Bytes read and dropped after an error answer, so that the client sees it instead of a reset. Default 256 KiB.
    pub max_linger: usize,
    /// Time spent on that reading and dropping. Default 2 s.
    pub linger_timeout: Duration,
    /// Pipelined requests of one connection that are answered in one turn of the loop. Default 64.
    pub max_pipelined: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_head: 64 * 1024,
            max_headers: 100,
            max_target: 8 * 1024,
            max_body: 100 * 1024 * 1024,
            max_collected_body: 1024 * 1024,
            max_unread_body: 64 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_linger: 256 * 1024,
            linger_timeout: Duration::from_secs(2),
            max_pipelined: 64,
        }
    }
}

macro_rules! setters {
    ($($setter:ident, $field:ident: $ty:ty;)*) => {
        impl Limits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Limits::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    with_max_head, max_head: usize;
    with_max_headers, max_headers: usize;
    with_max_target, max_target: usize;
    with_max_body, max_body: u64;
    with_max_collected_body, max_collected_body: usize;
    with_max_unread_body, max_unread_body: usize;
    with_header_timeout, header_timeout: Duration;
    with_body_timeout, body_timeout: Duration;
    with_idle_timeout, idle_timeout: Duration;
    with_write_timeout, write_timeout: Duration;
    with_max_linger, max_linger: usize;
    with_linger_timeout, linger_timeout: Duration;
    with_max_pipelined, max_pipelined: usize;
}
