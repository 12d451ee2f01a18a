//! The backends by themselves, without a loop: what poll(2) emulates, and that it agrees with epoll(7).

mod common;

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use common::{is_closed_by_peer, pair};
use ioloop::{Epoll, Interest, Poller, PosixPoll, Ready, Token, Trigger};
use nix::errno::Errno;
use proptest::prelude::*;

fn token(number: u64) -> Token {
    Token::from_u64(number)
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// What is reported without waiting, by token.
fn news(poller: &mut dyn Poller) -> Vec<(u64, Ready)> {
    let mut events = Vec::new();
    poller.poll(&mut events, Some(Duration::ZERO)).unwrap();
    let mut news: Vec<_> = events.iter().map(|event| (event.token().to_u64(), event.ready())).collect();
    news.sort_by_key(|(token, _)| *token);
    news
}

fn both() -> [Box<dyn Poller>; 2] {
    [Box::new(Epoll::new().unwrap()), Box::new(PosixPoll::new())]
}

#[test]
fn same_descriptor_is_refused_a_second_time_and_accepted_after_its_removal() {
    for mut poller in both() {
        let (ours, _theirs) = pair();
        poller.add(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level).unwrap();
        let again = poller.add(ours.as_fd(), token(2), Interest::READABLE, Trigger::Level);
        assert_eq!(errno(again), Some(Errno::EEXIST as i32));
        poller.remove(ours.as_fd(), token(1)).unwrap();
        poller.add(ours.as_fd(), token(2), Interest::WRITABLE, Trigger::Level).unwrap();
        assert_eq!(news(&mut *poller), [(2, Ready::WRITABLE)]);
    }
}

#[test]
fn descriptors_that_are_not_watched_can_be_neither_changed_nor_removed() {
    for mut poller in both() {
        let (ours, _theirs) = pair();
        let changed = poller.modify(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level);
        assert_eq!(errno(changed), Some(Errno::ENOENT as i32));
        assert_eq!(errno(poller.remove(ours.as_fd(), token(1))), Some(Errno::ENOENT as i32));
    }
}

#[test]
fn regular_files_and_directories_are_refused() {
    for mut poller in both() {
        for name in ["/Cargo.toml", ""] {
            let file = File::open(format!("{}{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            let refused = poller.add(file.as_fd(), token(1), Interest::READABLE, Trigger::Level);
            assert_eq!(errno(refused), Some(Errno::EPERM as i32));
        }
    }
}

#[test]
fn wait_ends_with_its_time_out_and_without_news() {
    for mut poller in both() {
        let (ours, _theirs) = pair();
        poller.add(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level).unwrap();
        let mut events = Vec::new();
        poller.poll(&mut events, Some(Duration::from_micros(1))).unwrap();
        assert!(events.is_empty());
    }
}

#[test]
fn edges_are_reported_once_and_again_only_when_rearmed() {
    let mut poller = PosixPoll::new();
    let (mut ours, mut theirs) = pair();
    poller.add(ours.as_fd(), token(1), Interest::all(), Trigger::Edge).unwrap();
    assert_eq!(news(&mut poller), [(1, Ready::WRITABLE)]);
    theirs.write_all(b"x").unwrap();
    assert_eq!(news(&mut poller), [(1, Ready::READABLE)], "what is known already is not repeated");
    assert_eq!(news(&mut poller), []);
    poller.rearm(token(1), Ready::READABLE);
    assert_eq!(news(&mut poller), [(1, Ready::READABLE)], "still there");
    assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
    poller.rearm(token(1), Ready::READABLE);
    assert_eq!(news(&mut poller), []);
    theirs.write_all(b"x").unwrap();
    assert_eq!(news(&mut poller), [(1, Ready::READABLE)]);
}

#[test]
fn end_of_input_is_told_from_the_end_of_everything_and_each_is_told_once() {
    let mut poller = PosixPoll::new();
    let (ours, theirs) = pair();
    poller.add(ours.as_fd(), token(1), Interest::all(), Trigger::Edge).unwrap();
    assert_eq!(news(&mut poller), [(1, Ready::WRITABLE)]);
    theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(news(&mut poller), [(1, Ready::READABLE | Ready::READ_CLOSED)]);
    assert_eq!(news(&mut poller), []);
    drop(theirs);
    assert_eq!(news(&mut poller), [(1, Ready::HANGUP)]);
    assert_eq!(news(&mut poller), [], "the kernel says it in every wait, unasked");
}

#[test]
fn change_of_interest_reports_anew() {
    for mut poller in both() {
        let (ours, _theirs) = pair();
        poller.add(ours.as_fd(), token(1), Interest::WRITABLE, Trigger::Edge).unwrap();
        assert_eq!(news(&mut *poller), [(1, Ready::WRITABLE)]);
        assert_eq!(news(&mut *poller), []);
        poller.modify(ours.as_fd(), token(1), Interest::WRITABLE, Trigger::Edge).unwrap();
        assert_eq!(news(&mut *poller), [(1, Ready::WRITABLE)]);
    }
}

#[test]
fn number_that_was_closed_and_given_to_another_descriptor_can_be_watched_again() {
    for mut poller in both() {
        let (ours, old_peer) = pair();
        poller.add(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level).unwrap();
        let (successor, mut new_peer) = pair();
        let mut number = std::os::fd::OwnedFd::from(ours);
        // Closes the number and gives it to the successor in one step: no other test can come in between.
        nix::unistd::dup2(&successor, &mut number).unwrap();
        poller.add(number.as_fd(), token(2), Interest::READABLE, Trigger::Level).unwrap();
        new_peer.write_all(b"x").unwrap();
        assert!(news(&mut *poller).contains(&(2, Ready::READABLE)));
        let again = poller.add(number.as_fd(), token(3), Interest::READABLE, Trigger::Level);
        assert_eq!(errno(again), Some(Errno::EEXIST as i32));
        drop(old_peer);
    }
}

#[test]
fn predecessor_under_the_same_number_is_removed_by_its_token_alone() {
    let mut poller = PosixPoll::new();
    let (ours, old_peer) = pair();
    poller.add(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level).unwrap();
    let (successor, _new_peer) = pair();
    let mut number = std::os::fd::OwnedFd::from(ours);
    nix::unistd::dup2(&successor, &mut number).unwrap();
    poller.add(number.as_fd(), token(2), Interest::WRITABLE, Trigger::Level).unwrap();
    assert!(!is_closed_by_peer(&old_peer), "the duplicate is still watched");
    poller.remove(number.as_fd(), token(1)).unwrap();
    assert!(is_closed_by_peer(&old_peer));
    assert_eq!(news(&mut poller), [(2, Ready::WRITABLE)]);
    let again = poller.add(number.as_fd(), token(3), Interest::READABLE, Trigger::Level);
    assert_eq!(errno(again), Some(Errno::EEXIST as i32), "the successor's number is still known");
}

#[test]
fn removal_gives_the_duplicate_back() {
    let mut poller = PosixPoll::new();
    let (ours, theirs) = pair();
    poller.add(ours.as_fd(), token(1), Interest::READABLE, Trigger::Level).unwrap();
    poller.closing(ours.as_fd(), token(1));
    drop(ours);
    assert!(is_closed_by_peer(&theirs));
}

/// One step of a story about a few connections; each is told to the sockets or to both backends.
#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Read(usize),
    Fill(usize),
    ShutDown(usize),
    PeerCloses(usize),
    Watch(usize, Interest),
    Forget(usize),
}

const CONNECTIONS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let which = 0..CONNECTIONS;
    let interest = (0u8..16).prop_map(Interest::from_bits_truncate);
    prop_oneof![
        3 => which.clone().prop_map(Step::Write),
        3 => which.clone().prop_map(Step::Read),
        1 => which.clone().prop_map(Step::Fill),
        1 => which.clone().prop_map(Step::ShutDown),
        1 => which.clone().prop_map(Step::PeerCloses),
        5 => (which.clone(), interest).prop_map(|(which, interest)| Step::Watch(which, interest)),
        1 => which.prop_map(Step::Forget),
    ]
}

struct Connection {
    ours: UnixStream,
    theirs: Option<UnixStream>,
    is_watched: bool,
}

impl Connection {
    fn new() -> Connection {
        let (ours, theirs) = pair();
        Connection { ours, theirs: Some(theirs), is_watched: false }
    }

    fn write(&mut self) {
        if let Some(theirs) = &mut self.theirs {
            let _ = theirs.write(b"x");
        }
    }

    fn fill(&mut self) {
        let chunk = vec![0; 65_536];
        while self.ours.write(&chunk).is_ok_and(|count| count > 0) {}
    }

    fn shut_down(&self) {
        if let Some(theirs) = &self.theirs {
            let _ = theirs.shutdown(Shutdown::Write);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_backends_report_the_same_level_triggered(steps in prop::collection::vec(step(), 1..60)) {
        let mut pollers = both();
        let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::new()).collect();
        for step in steps {
            match step {
                Step::Write(which) => connections[which].write(),
                Step::Read(which) => drop(connections[which].ours.read(&mut [0; 8])),
                Step::Fill(which) => connections[which].fill(),
                Step::ShutDown(which) => connections[which].shut_down(),
                Step::PeerCloses(which) => connections[which].theirs = None,
                Step::Watch(which, interest) => {
                    let connection = &mut connections[which];
                    let (fd, token) = (connection.ours.as_fd(), token(which as u64));
                    for poller in &mut pollers {
                        if connection.is_watched {
                            poller.modify(fd, token, interest, Trigger::Level).unwrap();
                        } else {
                            poller.add(fd, token, interest, Trigger::Level).unwrap();
                        }
                    }
                    connection.is_watched = true;
                }
                Step::Forget(which) => {
                    let connection = &mut connections[which];
                    for poller in &mut pollers {
                        let removed = poller.remove(connection.ours.as_fd(), token(which as u64));
                        prop_assert_eq!(removed.is_ok(), connection.is_watched);
                    }
                    connection.is_watched = false;
                }
            }
            let [epoll, poll] = &mut pollers;
            prop_assert_eq!(news(&mut **epoll), news(&mut **poll));
        }
    }

    /// Whoever follows the rule of edges (try until it would block, then clear) misses nothing: what is known after each
    /// step is what is really so.
    #[test]
    fn edges_made_from_levels_miss_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let mut poller = PosixPoll::new();
        let mut connection = Connection::new();
        poller.add(connection.ours.as_fd(), token(1), Interest::all(), Trigger::Edge).unwrap();
        let (mut known, mut unread, mut ended) = (Ready::empty(), 0, false);
        for step in steps {
            match step {
                Step::Write(_) if connection.theirs.is_some() && !ended => {
                    connection.write();
                    unread += 1;
                }
                Step::Read(_) => match connection.ours.read(&mut [0; 1]) {
                    Ok(count) => unread -= count,
                    Err(_) => {
                        known.remove(Ready::READABLE);
                        poller.rearm(token(1), Ready::READABLE);
                    }
                },
                Step::ShutDown(_) => {
                    connection.shut_down();
                    ended = true;
                }
                Step::PeerCloses(_) => {
                    connection.theirs = None;
                    ended = true;
                }
                _ => {}
            }
            for (_, ready) in news(&mut poller) {
                prop_assert!(!known.intersects(ready), "{:?} was known", ready);
                known |= ready;
            }
            if unread > 0 || ended {
                prop_assert!(known.contains(Ready::READABLE));
            }
            prop_assert_eq!(known.contains(Ready::READ_CLOSED), ended);
            prop_assert_eq!(known.contains(Ready::HANGUP), connection.theirs.is_none());
        }
    }
}

#[test]
fn backends_need_no_more_than_what_is_named() {
    let mut poller = PosixPoll::new();
    let (ours, _theirs) = pair();
    poller.add(ours.as_fd(), token(u64::MAX), Interest::WRITABLE, Trigger::Level).unwrap();
    assert_eq!(news(&mut poller), [(u64::MAX, Ready::WRITABLE)], "any number will do");
    assert!(poller.needs_rearming() && !Epoll::new().unwrap().needs_rearming());
    assert!(poller.descriptor().is_none());
    assert!(Epoll::new().unwrap().descriptor().unwrap().as_raw_fd() >= 0);
}
