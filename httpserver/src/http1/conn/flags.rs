use std::cell::Cell;

use crate::http1::request_method::RequestMethod;

/// What is true of a server's connection and of the request that it has in hand, a bit each: idle connections have them
/// all, and taking up a request sets most of them.
pub(crate) struct Flags(Cell<u16>);

/// One or several of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(u16);

impl Flag {
    /// Of the request: chunks and a silent keep-alive need it, and a client of HTTP/1.0 knows neither.
    pub(crate) const HTTP11: Flag = Flag(1);
    /// The answer ends with its head (RFC 9110 9.3.2).
    pub(crate) const HEAD: Flag = Flag(1 << 1);
    /// A 2xx would open a tunnel (RFC 9110 9.3.6).
    pub(crate) const CONNECT: Flag = Flag(1 << 2);
    /// An upgrade was asked for.
    pub(crate) const UPGRADE: Flag = Flag(1 << 3);
    /// The client lets the connection be kept. The answer may still close it.
    pub(crate) const KEEP_ALIVE: Flag = Flag(1 << 4);
    /// The client waits for `100 Continue` before it sends the body. Cleared by the first byte of the body and by the 100.
    pub(crate) const EXPECTS_CONTINUE: Flag = Flag(1 << 5);
    /// The service is dropped when the client goes.
    pub(crate) const CANCELS: Flag = Flag(1 << 6);
    /// The head of the answer has been encoded: no other may follow it.
    pub(crate) const ANSWERED: Flag = Flag(1 << 7);
    /// A request is being answered: from the end of its head to the end of its answer. A drain lets it finish.
    pub(crate) const BUSY: Flag = Flag(1 << 8);
    /// The request's body has not been dropped: the body of the answer may read it.
    pub(crate) const BODY_HELD: Flag = Flag(1 << 9);
    /// A drain's deadline has passed: the connection is to end now.
    pub(crate) const CUT: Flag = Flag(1 << 10);
    /// The handshake of TLS is over. Not asked of the stream, which no longer knows when it is closed.
    pub(crate) const TLS: Flag = Flag(1 << 11);
    /// The connection is a task of its own.
    pub(crate) const HAS_TASK: Flag = Flag(1 << 12);

    /// The deadline is lent to who answers the request; see [`Patience`](crate::Patience).
    pub(crate) const LENT: Flag = Flag(1 << 13);
    /// What ends with the answer.
    pub(crate) const IN_HAND: Flag = Flag::BUSY.and(Flag::LENT);

    /// What the head of the request says, as far as it matters to that of the answer.
    pub(crate) const MESSAGE: Flag = Flag(0x1f);
    /// All that a request brings along. What belongs to the connection stays from one to the next.
    const REQUEST: Flag = Flag(0xff);

    /// What a connection has to know of the method of a request.
    #[inline(always)]
    pub(crate) const fn of_method(method: RequestMethod) -> Flag {
        Flag(method as u16 & (Flag::HEAD.0 | Flag::CONNECT.0))
    }

    /// This flag if it is `on`, else none.
    #[inline(always)]
    pub(crate) const fn when(self, on: bool) -> Flag {
        // No branch: taking up a request asks this of six.
        Flag(self.0 * on as u16)
    }

    #[inline(always)]
    pub(crate) const fn and(self, other: Flag) -> Flag {
        Flag(self.0 | other.0)
    }
}

impl Flags {
    pub(crate) fn new(flag: Flag) -> Flags {
        Flags(Cell::new(flag.0))
    }

    #[inline(always)]
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.0.get() & flag.0 != 0
    }

    /// Whether those in `on`, and no others of `among`, are set.
    #[inline(always)]
    pub(crate) fn are(&self, on: Flag, among: Flag) -> bool {
        self.0.get() & among.0 == on.0
    }

    #[inline(always)]
    pub(crate) fn set(&self, flag: Flag) {
        self.0.set(self.0.get() | flag.0);
    }

    #[inline(always)]
    pub(crate) fn clear(&self, flag: Flag) {
        self.0.set(self.0.get() & !flag.0);
    }

    /// Sets it, and says whether it was set before.
    #[inline]
    pub(crate) fn replace(&self, flag: Flag, on: bool) -> bool {
        let before = self.has(flag);
        if on {
            self.set(flag)
        } else {
            self.clear(flag)
        }
        before
    }

    /// Puts those of a request in the place of those of the request before.
    #[inline(always)]
    pub(crate) fn begin_request(&self, flags: Flag) {
        self.0.set(self.0.get() & !Flag::REQUEST.0 | flags.0);
    }
}
