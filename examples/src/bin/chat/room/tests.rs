//! Layer: ioloop.

use ioloop::{IOLoop, spawn, yield_now};

use super::*;

fn room() -> Rc<Room> {
    Rc::new(Room::new(Instant::now()))
}

fn draft(key: impl ToString) -> Draft {
    Draft { name: "ann".into(), text: format!("message {}", key.to_string()), key: key.to_string() }
}

fn post(room: &Room, count: u64) {
    for _ in 0..count {
        room.post(draft(room.messages()), Instant::now());
    }
}

fn places(news: &News) -> Vec<u64> {
    news.messages.iter().map(|message| message.seq).collect()
}

#[test]
fn without_a_cursor_the_whole_history_is_news() {
    let room = room();
    post(&room, 3);
    let news = room.look(None);
    assert_eq!(places(&news), [1, 2, 3]);
    assert!(!news.missed);
}

#[test]
fn behind_a_cursor_only_later_messages_are_news() {
    let room = room();
    post(&room, 3);
    let cursor = room.look(None).cursor;
    assert!(places(&room.look(Some(cursor))).is_empty());
    post(&room, 2);
    assert_eq!(places(&room.look(Some(cursor))), [4, 5]);
}

#[test]
fn a_repeated_attempt_to_send_keeps_its_place() {
    let room = room();
    let first = room.post(draft("a"), Instant::now());
    let second = room.post(draft("b"), Instant::now());
    assert_eq!(room.post(draft("a"), Instant::now()), first);
    assert_eq!(room.post(draft("b"), Instant::now()), second);
    assert_eq!(places(&room.look(None)), [1, 2]);
}

#[test]
fn the_history_is_bounded() {
    let room = room();
    post(&room, HISTORY as u64 + 7);
    let news = room.look(None);
    assert_eq!(news.messages.len(), HISTORY);
    assert_eq!(news.messages[0].seq, 8);
}

#[test]
fn a_reader_whose_place_was_trimmed_is_told_so() {
    let room = room();
    post(&room, 5);
    let behind = room.look(None).cursor;
    post(&room, HISTORY as u64);
    let exactly_in_reach = room.look(Some(behind));
    assert!(!exactly_in_reach.missed);
    assert_eq!(exactly_in_reach.messages[0].seq, 6);
    post(&room, 1);
    let out_of_reach = room.look(Some(behind));
    assert!(out_of_reach.missed);
    assert_eq!(out_of_reach.messages[0].seq, 7);
}

#[test]
fn a_cursor_from_before_a_restart_starts_over_and_is_told_so() {
    let room = room();
    post(&room, 2);
    let old = Cursor { epoch: room.epoch - 1, seq: 2 };
    let news = room.look(Some(old));
    assert!(news.restarted);
    assert_eq!(places(&news), [1, 2]);
}

#[test]
fn nothing_counts_as_missed_after_a_restart_unless_the_history_was_trimmed_since() {
    let room = room();
    let old = Cursor { epoch: room.epoch - 1, seq: 2 };
    assert!(!room.look(Some(old)).missed);
    post(&room, HISTORY as u64);
    assert!(!room.look(Some(old)).missed);
    post(&room, 1);
    assert!(room.look(Some(old)).missed);
}

#[test]
fn a_waiting_reader_of_another_epoch_is_answered_at_once() {
    let room = room();
    let old = Cursor { epoch: room.epoch - 1, seq: 2 };
    let news = IOLoop::current().run_sync(room.news(Some(old), Some(0)));
    assert!(news.restarted && !news.missed);
    assert_eq!(news.cursor, Cursor { epoch: room.epoch, seq: 0 });
}

#[test]
fn a_cursor_beyond_the_end_skips_nothing_that_comes_later() {
    let room = room();
    let invented = Cursor { epoch: room.epoch, seq: 1000 };
    let news = room.look(Some(invented));
    post(&room, 1);
    assert_eq!(places(&room.look(Some(news.cursor))), [1]);
}

#[test]
fn a_cursor_survives_its_text_form() {
    let cursor = Cursor { epoch: 0x19ab_cdef, seq: 42 };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for text in ["", "-", "1", "x-1", "1-x", "1-", "-1", "1-2-3"] {
        assert!(text.parse::<Cursor>().is_err(), "{text:?}");
    }
}

#[test]
fn a_waiting_reader_is_woken_by_a_message() {
    IOLoop::current().run_sync(async {
        let room = room();
        let cursor = room.look(None).cursor;
        let reader = spawn({
            let room = room.clone();
            async move { room.news(Some(cursor), Some(0)).await }
        });
        while room.bell.waiting() == 0 {
            yield_now().await;
        }
        post(&room, 1);
        assert_eq!(places(&reader.await.expect("the reader ends")), [1]);
    });
}

#[test]
fn a_reader_that_stops_waiting_leaves_nothing_behind() {
    IOLoop::current().run_sync(async {
        let room = room();
        let cursor = room.look(None).cursor;
        let reader = spawn({
            let room = room.clone();
            async move { room.news(Some(cursor), Some(0)).await }
        });
        while room.bell.waiting() == 0 {
            yield_now().await;
        }
        reader.abort();
        assert!(reader.await.is_err());
        assert_eq!(room.bell.waiting(), 0);
        assert_eq!(Rc::strong_count(&room), 1);
    });
}

/// Readers poll while messages arrive; each must see every place once, in order.
#[test]
fn nothing_is_lost_or_doubled_between_two_polls() {
    const MESSAGES: u64 = 200;
    IOLoop::current().run_sync(async {
        let room = room();
        let readers: Vec<_> = (0..5u64)
            .map(|pace| {
                let room = room.clone();
                spawn(async move {
                    let mut seen = Vec::new();
                    let mut cursor = None;
                    while seen.last() != Some(&MESSAGES) {
                        let news = room.news(cursor, Some(0)).await;
                        assert!(!news.missed);
                        seen.extend(places(&news));
                        cursor = Some(news.cursor);
                        // Each reader is away between its polls for another number of turns.
                        for _ in 0..pace {
                            yield_now().await;
                        }
                    }
                    seen
                })
            })
            .collect();
        for burst in 0.. {
            let left = MESSAGES - room.messages();
            if left == 0 {
                break;
            }
            post(&room, left.min(burst % 4));
            yield_now().await;
        }
        for reader in readers {
            assert_eq!(reader.await.expect("a reader ends"), (1..=MESSAGES).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_change_of_the_head_count_is_news() {
    let (room, now) = (room(), Instant::now());
    room.people().arrive("a", now);
    room.announce(now);
    assert_eq!(room.look(None).people, 1);
}

#[test]
fn a_storm_of_arrivals_is_announced_once_at_first_and_once_after() {
    let (room, now) = (room(), Instant::now());
    for page in 0..100 {
        room.people().arrive(&page.to_string(), now);
        room.announce(now);
    }
    assert_eq!(room.look(None).people, 1);
    room.tick(now + BETWEEN_ANNOUNCEMENTS);
    assert_eq!(room.look(None).people, 100);
}

#[test]
fn a_room_is_abandoned_when_nobody_is_there_and_nothing_was_said_for_long() {
    let (room, now) = (room(), Instant::now());
    let long = Duration::from_secs(60);
    assert!(!room.is_abandoned(now, long));
    assert!(room.is_abandoned(now + long * 2, long));
    room.people().arrive("a", now);
    assert!(!room.is_abandoned(now + long * 2, long));
    room.people().leave("a");
    room.post(draft("a"), now + long * 2);
    assert!(!room.is_abandoned(now + long * 2, long));
}
