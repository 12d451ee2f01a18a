use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, poll},
    sys::stat::{FileStat, SFlag, fstat},
};

use super::{Event, Interest, Poller, Ready, Token, Trigger, milliseconds};

/// The poll(2) backend: for a few descriptors, for tests, and where there is no epoll(7).
///
/// The kernel is handed the whole list of descriptors with every wait and looks at each of them, so a turn costs time in
/// proportion to what is watched, ready or not, and allocates that list anew. The kernel keeps no memory between two
/// waits: edges are made here, by not asking again for what was reported until the loop wants it back
/// ([`rearm`](Poller::rearm)).
///
/// Each watched descriptor is duplicated, so a loop over this backend needs twice as many. In return the backend never
/// waits for a number that has been closed and given to something else, and one that is closed behind the loop's back
/// stays watched until it is removed.
#[derive(Default)]
pub struct PosixPoll {
    /// By token as a number, so in the order in which they were registered.
    watched: BTreeMap<u64, Watched>,
    /// Whose numbers these are, to refuse a second registration as epoll does.
    numbers: HashMap<RawFd, Token>,
}

struct Watched {
    /// Our own duplicate: the caller's descriptor is only borrowed, and nothing but a duplicate is sure to be still open
    /// and still the same file at the next wait.
    fd: OwnedFd,
    /// The number of the caller's descriptor.
    number: RawFd,
    interest: Interest,
    trigger: Trigger,
    /// What was reported and is not asked for any more. Always empty when level-triggered.
    spent: Ready,
}

impl PosixPoll {
    /// A backend that watches nothing yet.
    #[inline]
    pub fn new() -> PosixPoll {
        PosixPoll::default()
    }

    /// Whether `fd` is what is registered under its number, and not a successor of one closed behind our back.
    #[inline]
    fn is_watched(&self, fd: BorrowedFd<'_>, stat: &FileStat) -> io::Result<bool> {
        let known = self.numbers.get(&fd.as_raw_fd()).and_then(|token| self.watched.get(&token.to_u64()));
        let Some(known) = known else { return Ok(false) };
        let known = fstat(&known.fd)?;
        Ok((known.st_dev, known.st_ino) == (stat.st_dev, stat.st_ino))
    }

    #[inline]
    fn watched_mut(&mut self, token: Token) -> io::Result<&mut Watched> {
        self.watched.get_mut(&token.to_u64()).ok_or_else(|| Errno::ENOENT.into())
    }
}

impl Poller for PosixPoll {
    #[inline]
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let stat = fstat(fd)?;
        // poll(2) would call them always ready; epoll(7) refuses them, and so do we.
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFREG || kind == SFlag::S_IFDIR {
            return Err(Errno::EPERM.into());
        }
        if self.is_watched(fd, &stat)? {
            return Err(Errno::EEXIST.into());
        }
        let number = fd.as_raw_fd();
        let fd = fd.try_clone_to_owned()?;
        self.watched.insert(token.to_u64(), Watched { fd, number, interest, trigger, spent: Ready::empty() });
        self.numbers.insert(number, token);
        Ok(())
    }

    #[inline]
    fn modify(&mut self, _fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let watched = self.watched_mut(token)?;
        (watched.interest, watched.trigger) = (interest, trigger);
        // As with epoll(7), a change of interest reports anew what is ready.
        watched.spent = Ready::empty();
        Ok(())
    }

    #[inline]
    fn remove(&mut self, _fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let watched = self.watched.remove(&token.to_u64()).ok_or(Errno::ENOENT)?;
        if self.numbers.get(&watched.number) == Some(&token) {
            self.numbers.remove(&watched.number);
        }
        Ok(())
    }

    #[inline]
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut entries = Vec::with_capacity(self.watched.len() + self.watched.len() / 2);
        for watched in self.watched.values() {
            watched.ask(&mut entries);
        }
        match poll(&mut entries, milliseconds(timeout)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // The answers borrow the descriptors, so the list of what was ready comes before its being noted.
        let mut answers = entries.iter();
        let before = events.len();
        for (token, watched) in &self.watched {
            let ready = watched.understand(&mut answers);
            if !ready.is_empty() {
                events.push(Event::new(Token::from_u64(*token), ready));
            }
        }
        for event in &events[before..] {
            if let Some(watched) = self.watched.get_mut(&event.token().to_u64())
                && watched.trigger == Trigger::Edge
            {
                watched.spent |= event.ready();
            }
        }
        Ok(())
    }

    #[inline]
    fn needs_rearming(&self) -> bool {
        true
    }

    #[inline]
    fn rearm(&mut self, token: Token, what: Ready) {
        if let Ok(watched) = self.watched_mut(token) {
            watched.spent.remove(what);
        }
    }
}

/// A registration takes none, one or two entries of the kernel's list. The second asks for `POLLRDHUP` alone, which nix
/// does not know: it hides an answer that contains an unknown bit, and so tells us that it is there.
impl Watched {
    #[inline]
    fn ask<'fd>(&'fd self, entries: &mut Vec<PollFd<'fd>>) {
        if self.has_ended() {
            return;
        }
        entries.push(PollFd::new(self.fd.as_fd(), self.flags()));
        if self.wants(Interest::READ_CLOSED) {
            entries.push(PollFd::new(self.fd.as_fd(), PollFlags::from_bits_retain(libc::POLLRDHUP)));
        }
    }

    /// Takes from `answers` what `ask` has put in.
    fn understand<'a, 'fd: 'a>(&self, answers: &mut impl Iterator<Item = &'a PollFd<'fd>>) -> Ready {
        let mut ready = Ready::empty();
        if self.has_ended() {
            return ready;
        }
        let flags = answers.next().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        ready.set(Ready::READABLE, flags.contains(PollFlags::POLLIN));
        ready.set(Ready::WRITABLE, flags.contains(PollFlags::POLLOUT));
        ready.set(Ready::PRIORITY, flags.contains(PollFlags::POLLPRI));
        ready.set(Ready::HANGUP, flags.contains(PollFlags::POLLHUP));
        ready.set(Ready::ERROR, flags.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL));
        if self.wants(Interest::READ_CLOSED) {
            let hidden = answers.next().is_some_and(|entry| entry.revents().is_none());
            ready.set(Ready::READ_CLOSED, hidden);
        }
        ready
    }

    #[inline]
    fn flags(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.wants(Interest::READABLE));
        flags.set(PollFlags::POLLOUT, self.wants(Interest::WRITABLE));
        flags.set(PollFlags::POLLPRI, self.wants(Interest::PRIORITY));
        flags
    }

    #[inline]
    fn wants(&self, what: Interest) -> bool {
        self.interest.contains(what) && !self.spent.contains(Ready::from_bits_truncate(what.bits()))
    }

    /// poll(2) reports hang-ups and errors unasked, in every wait. Once seen they are the end: whoever waits for anything
    /// is told already.
    #[inline]
    fn has_ended(&self) -> bool {
        self.spent.intersects(Ready::HANGUP | Ready::ERROR)
    }
}

impl fmt::Debug for PosixPoll {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosixPoll").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}
