use std::{io, os::fd::AsFd, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// How TCP finds out that a peer has vanished: a machine that lost its power, a network that drops everything. Nobody sends
/// a FIN for it, so without this a connection that waits for input stays for ever.
///
/// There are two questions, and a limit for each:
///
/// * **Nothing to send**: after [`idle`](KeepAlive::idle) without a byte from the peer, probes are sent every
///   [`interval`](KeepAlive::interval) (`SO_KEEPALIVE`). After [`probes`](KeepAlive::probes) without an answer the connection
///   is over.
/// * **Something to send**: what the peer has not acknowledged for [`user_timeout`](KeepAlive::user_timeout)
///   (`TCP_USER_TIMEOUT`, RFC 5482) ends the connection. Without it that takes the system about 15 minutes.
///
/// The operations of a stream then fail with `ETIMEDOUT`. Linux copies all four from the listening socket, so they cost no
/// system call per accepted connection.
///
/// # What the user timeout means besides
///
/// * Linux also applies it to a peer that answers and does not read: when its window has been closed for that long while
///   there is something to send, the connection ends. A protocol whose peers may pause for longer needs a longer time-out,
///   or none.
/// * Linux also applies it in place of the number of probes: the connection ends at the first unanswered probe that finds
///   nothing received for `user_timeout`. With the defaults that is 70 s after the peer's last byte, ten seconds after the
///   first probe.
///
/// # A client that sleeps
///
/// The kernel of a laptop that sleeps, or of a telephone without a network, answers nothing:
///
/// * **With bytes on their way to it**, the connection ends about 30 s after they were sent, and they are lost. A write is
///   complete when the kernel has taken its bytes, so it may have been reported as done by then. A protocol that must not
///   lose messages has the client say which it has seen, and keeps the others for its return.
/// * **With nothing on its way**, the connection ends at the first probe that stays unanswered, 60 to 70 s after the last
///   byte from it. A shorter sleep does no harm in either case.
/// * **A program that sleeps alone**, such as a browser's tab in the background, has a kernel that answers for it until its
///   receive buffer is full, which takes some hundred kilobytes. Then the window is closed, and its 30 s begin.
///
/// A client that wakes up later sends to a connection that is gone and is answered with a reset; one that only waits for
/// input learns nothing. It needs a time limit of its own.
///
/// # Examples
///
/// ```
/// use iostream::netutil::{BindOptions, KeepAlive, bind_sockets};
/// use std::time::Duration;
///
/// // Subscribers behind a proxy, which may stop reading for minutes.
/// let keep_alive = KeepAlive::new().user_timeout(Duration::from_secs(600));
/// let sockets = bind_sockets("127.0.0.1:0", &BindOptions::new().keep_alive(keep_alive))?;
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepAlive {
    /// The silence after which the first probe is sent; 60 s by default, in whole seconds, rounded up. Zero sends none.
    pub idle: Duration,
    /// The time between probes; 10 s by default, in whole seconds, rounded up.
    pub interval: Duration,
    /// How many probes may go unanswered; 3 by default.
    pub probes: u32,
    /// How long what was sent may stay unacknowledged; 30 s by default, in milliseconds, 24 days at most. Zero is the
    /// system's own rule.
    pub user_timeout: Duration,
}

/// The kernel's limits (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPCNT`).
const MAX_SECONDS: u64 = 32_767;
const MAX_PROBES: u32 = 127;

impl KeepAlive {
    /// The defaults.
    pub fn new() -> KeepAlive {
        KeepAlive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(10),
            probes: 3,
            user_timeout: Duration::from_secs(30),
        }
    }

    /// The system's own rules: idle connections are never probed, and what is unacknowledged is sent again for about
    /// 15 minutes.
    pub fn off() -> KeepAlive {
        KeepAlive { idle: Duration::ZERO, user_timeout: Duration::ZERO, ..KeepAlive::new() }
    }

    /// Sets [`idle`](KeepAlive::idle).
    #[must_use]
    pub fn idle(mut self, silence: Duration) -> Self {
        self.idle = silence;
        self
    }

    /// Sets [`interval`](KeepAlive::interval).
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets [`probes`](KeepAlive::probes).
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Sets [`user_timeout`](KeepAlive::user_timeout).
    #[must_use]
    pub fn user_timeout(mut self, limit: Duration) -> Self {
        self.user_timeout = limit;
        self
    }

    /// Sets these on a TCP socket: a connected one, or a listening one, whose accepted connections inherit them. What is
    /// zero is left as the socket has it. Up to five system calls.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io): `InvalidInput` for more than 32,767 s, or for 0 or more than 127 probes; otherwise
    /// when the socket is not a TCP socket.
    pub fn set_on(&self, socket: &impl AsFd) -> crate::Result<()> {
        Ok(self.apply(socket)?)
    }

    pub(super) fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        if !self.idle.is_zero() {
            if !(1..=MAX_PROBES).contains(&self.probes) {
                return Err(invalid("keep-alive takes 1 to 127 probes"));
            }
            let params = TcpKeepalive::new()
                .with_time(whole_seconds(self.idle)?)
                .with_interval(whole_seconds(self.interval)?)
                .with_retries(self.probes);
            socket.set_tcp_keepalive(&params)?;
        }
        if !self.user_timeout.is_zero() {
            // 0 would turn it off, and more than 31 bits are refused.
            let limit = self.user_timeout.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));
            socket.set_tcp_user_timeout(Some(limit))?;
        }
        Ok(())
    }
}

/// The kernel counts in seconds and refuses 0.
#[inline]
fn whole_seconds(duration: Duration) -> io::Result<Duration> {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    match seconds {
        0..=MAX_SECONDS => Ok(Duration::from_secs(seconds.max(1))),
        _ => Err(invalid("keep-alive takes at most 32,767 seconds")),
    }
}

#[inline]
fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

impl Default for KeepAlive {
    fn default() -> Self {
        KeepAlive::new()
    }
}
