use std::{
    fmt,
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::fs::MetadataExt,
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, poll},
};

use super::{Event, Interest, Poller, Ready, Token, Trigger, milliseconds};

/// The poll(2) backend: for a few descriptors, for tests, and where there is no epoll(7).
///
/// The kernel takes the whole list of descriptors with every wait and checks each of them, so a turn costs time in
/// proportion to what is watched, ready or not, and allocates that list anew. Registering takes as long. The kernel
/// keeps no memory between two waits: edges are made here, by not asking again for what was reported until the loop
/// wants it back ([`rearm`](Poller::rearm)).
///
/// Each watched descriptor is duplicated, so a loop over this backend needs twice as many. In return the backend never
/// waits for a number that has been closed and given to something else, and one that is closed behind the loop's back
/// stays watched until it is removed.
#[derive(Default)]
pub struct PosixPoll {
    /// By token as a number, so in the order in which they were registered.
    watched: Vec<Watched>,
}

struct Watched {
    token: Token,
    /// Our own duplicate: the caller's descriptor is only borrowed, and nothing but a duplicate is sure to be still open
    /// and still the same file at the next wait. A `File` because that tells about any kind of descriptor.
    fd: File,
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
    fn is_watched(&self, fd: BorrowedFd<'_>, about: &Metadata) -> io::Result<bool> {
        for known in self.watched.iter().filter(|known| known.number == fd.as_raw_fd()) {
            let known = known.fd.metadata()?;
            if (known.dev(), known.ino()) == (about.dev(), about.ino()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn place(&self, token: Token) -> Result<usize, usize> {
        self.watched.binary_search_by_key(&token.to_u64(), |watched| watched.token.to_u64())
    }

    #[inline]
    fn watched_mut(&mut self, token: Token) -> io::Result<&mut Watched> {
        let place = self.place(token).map_err(|_| Errno::ENOENT)?;
        Ok(&mut self.watched[place])
    }
}

impl Poller for PosixPoll {
    #[inline]
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        let own = File::from(fd.try_clone_to_owned()?);
        let about = own.metadata()?;
        // poll(2) would call them always ready; epoll(7) refuses them, and so do we.
        if about.is_file() || about.is_dir() {
            return Err(Errno::EPERM.into());
        }
        if self.is_watched(fd, &about)? {
            return Err(Errno::EEXIST.into());
        }
        let watched = Watched { token, fd: own, number: fd.as_raw_fd(), interest, trigger, spent: Ready::empty() };
        match self.place(token) {
            Ok(place) => self.watched[place] = watched,
            Err(place) => self.watched.insert(place, watched),
        }
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
        let place = self.place(token).map_err(|_| Errno::ENOENT)?;
        self.watched.remove(place);
        Ok(())
    }

    #[inline]
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut entries = Vec::with_capacity(self.watched.len() + self.watched.len() / 2);
        for watched in &self.watched {
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
        for watched in &self.watched {
            let ready = watched.understand(&mut answers);
            if !ready.is_empty() {
                events.push(Event::new(watched.token, ready));
            }
        }
        for event in &events[before..] {
            if let Ok(watched) = self.watched_mut(event.token())
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

    /// poll(2) reports hang-ups and errors unasked, in every wait. Once reported they are the end: everything that
    /// waits has been woken.
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
