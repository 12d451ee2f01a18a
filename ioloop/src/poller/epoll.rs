use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll as NixEpoll, EpollCreateFlags, EpollEvent, EpollFlags},
};

use super::{Event, Interest, Poller, Ready, Token, Trigger, milliseconds};

/// The epoll(7) backend: one system call per wait, whatever the number of descriptors watched.
pub struct Epoll {
    epoll: NixEpoll,
    /// Where the kernel writes a batch. More events than fit are reported by the next wait; the kernel rotates its
    /// ready list, so none is starved.
    batch: Box<[EpollEvent; BATCH]>,
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
        Ok(Epoll { epoll, batch: Box::new([EpollEvent::empty(); BATCH]) })
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
        let count = match self.epoll.wait(&mut self.batch[..], milliseconds(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        events.extend(
            self.batch[..count].iter().map(|event| Event::new(Token::from_u64(event.data()), ready(event.events()))),
        );
        Ok(())
    }

    /// An epoll instance is readable itself while one of its descriptors is ready.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.epoll.0.as_fd())
    }
}

impl fmt::Debug for Epoll {
    #[inline]
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
