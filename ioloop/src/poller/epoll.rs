use std::{fmt, io, os::fd::BorrowedFd, time::Duration};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{Event, Interest, Poller, Ready, Token, Trigger};

/// The epoll(7) backend: one system call per wait, whatever the number of descriptors watched.
pub struct Epoll {
    epoll: NixEpoll,
    /// Where the kernel writes a batch. More events than fit are reported by the next wait; the kernel rotates its
    /// ready list, so none is starved.
    batch: Box<[EpollEvent]>,
}

/// Events taken per wait; 12 bytes each. At 1,024 busy connections a smaller batch costs more waits than it saves.
const BATCH: usize = 256;

impl Epoll {
    /// A new epoll instance, closed on exec.
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptor left.
    pub fn new() -> io::Result<Epoll> {
        let epoll = NixEpoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Epoll { epoll, batch: vec![EpollEvent::empty(); BATCH].into_boxed_slice() })
    }
}

impl Poller for Epoll {
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(interest, trigger), token.to_u64()))?)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let mut event = EpollEvent::new(flags(interest, trigger), token.to_u64());
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, _token: Token) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// epoll(7), question 6: closing a descriptor removes it from all sets once its last duplicate is closed. Saves a
    /// system call per connection.
    fn closing(&mut self, _fd: BorrowedFd<'_>, _token: Token) {}

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let count = match self.epoll.wait(&mut self.batch, milliseconds(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        events.extend(
            self.batch[..count].iter().map(|event| Event::new(Token::from_u64(event.data()), ready(event.events()))),
        );
        Ok(())
    }
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("epoll", &self.epoll.0).finish_non_exhaustive()
    }
}

fn flags(interest: Interest, trigger: Trigger) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.contains(Interest::READABLE));
    flags.set(EpollFlags::EPOLLOUT, interest.contains(Interest::WRITABLE));
    flags.set(EpollFlags::EPOLLPRI, interest.contains(Interest::PRIORITY));
    flags.set(EpollFlags::EPOLLRDHUP, interest.contains(Interest::READ_CLOSED));
    flags.set(EpollFlags::EPOLLET, trigger == Trigger::Edge);
    flags
}

fn ready(flags: EpollFlags) -> Ready {
    let mut ready = Ready::empty();
    ready.set(Ready::READABLE, flags.contains(EpollFlags::EPOLLIN));
    ready.set(Ready::WRITABLE, flags.contains(EpollFlags::EPOLLOUT));
    ready.set(Ready::PRIORITY, flags.contains(EpollFlags::EPOLLPRI));
    ready.set(Ready::READ_CLOSED, flags.contains(EpollFlags::EPOLLRDHUP));
    ready.set(Ready::HANGUP, flags.contains(EpollFlags::EPOLLHUP));
    ready.set(Ready::ERROR, flags.contains(EpollFlags::EPOLLERR));
    ready
}

/// epoll_wait(2) counts in milliseconds. Rounding down would make the loop spin for the last fraction of one.
fn milliseconds(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else {
        return EpollTimeout::NONE;
    };
    // In parts, because 128-bit division is done in software.
    let partial = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    let rounded_up = timeout.as_secs().saturating_mul(1000).saturating_add(partial);
    i32::try_from(rounded_up).ok().and_then(|ms| EpollTimeout::try_from(ms).ok()).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_rounded_up_to_whole_milliseconds() {
        let ms = |nanos| milliseconds(Some(Duration::from_nanos(nanos)));
        assert_eq!(ms(0), EpollTimeout::ZERO);
        assert_eq!(ms(1), EpollTimeout::from(1u8));
        assert_eq!(ms(1_000_000), EpollTimeout::from(1u8));
        assert_eq!(ms(1_000_001), EpollTimeout::from(2u8));
        assert_eq!(milliseconds(None), EpollTimeout::NONE);
        assert_eq!(milliseconds(Some(Duration::MAX)), EpollTimeout::MAX);
    }
}
