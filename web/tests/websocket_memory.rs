//! What connections hold. Alone in its test binary, because it counts what the thread allocates.

#[path = "util/allocations.rs"]
mod allocations;

use web::websocket::codec::{Decoder, Deflate, DeflateOptions, Encoder, Event, Role};

use allocations::{Counting, held};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A server's ends of connections that have sent and received once, and how many bytes each holds.
fn idle_after_use(options: &DeflateOptions, count: isize) -> isize {
    let (at_the_server, answer) = Deflate::accept([Deflate::offer(options)], options).unwrap();
    let at_the_client = Deflate::agreed([answer], options).unwrap().unwrap();
    let text = "the same again and ".repeat(1000);
    let mut connections = Vec::with_capacity(count as usize);
    let before = held();
    for _ in 0..count {
        let mut encoder = Encoder::new(Role::Server).deflate(&at_the_server);
        let mut decoder = Decoder::new(Role::Server).deflate(&at_the_server);
        assert!(encoder.text(&text).len() < text.len() / 10);
        let frame = Encoder::new(Role::Client).deflate(&at_the_client).text(&text);
        // In two pieces, so that a message is under way for a moment.
        let (mut first, mut second) = frame.split_at(20);
        assert_eq!(decoder.decode(&mut first), Ok(None));
        assert!(matches!(decoder.decode(&mut second), Ok(Some(Event::Message(_)))));
        connections.push((encoder, decoder));
    }
    (held() - before) / count
}

/// How many allocations `work` makes.
fn allocations<T>(work: impl FnOnce() -> T) -> usize {
    let before = allocations::allocations();
    let result = work();
    let count = allocations::allocations() - before;
    drop(result);
    count
}

#[test]
fn one_allocation_for_a_message() {
    let options = DeflateOptions::new().threshold(10_000);
    let (agreed, _) = Deflate::accept(["permessage-deflate"], &options).unwrap();
    for size in [1, 125, 126, 4096, 9_999] {
        let text = "a".repeat(size);
        let mut client = Encoder::new(Role::Client);
        client.text(""); // the thread's secret
        let frame = client.text(&text);
        assert_eq!(allocations(|| client.text(&text)), 1);
        assert_eq!(allocations(|| Encoder::new(Role::Server).deflate(&agreed).text(&text)), 1);
        assert_eq!(allocations(|| Decoder::new(Role::Server).deflate(&agreed).decode(&mut &frame[..])), 1);
        assert_eq!(allocations(|| Decoder::new(Role::Server).decode(&mut &client.binary(text.as_bytes())[..])), 2);
    }
    assert_eq!(allocations(|| Decoder::new(Role::Client).decode(&mut &b"\x89\x00"[..])), 0);
}

#[test]
fn idle_connections_hold_nothing_without_context_and_what_is_stated_with_it() {
    let options = DeflateOptions::new();
    idle_after_use(&options, 1); // fills the thread's pool
    assert_eq!(idle_after_use(&options, 100), 0);
    // As the documentation of `context_takeover` says: 420 KiB with large windows, 300 KiB with small ones.
    for (bits, stated) in [(15, 420 << 10), (9, 300 << 10)] {
        let held = idle_after_use(&options.clone().context_takeover(true).max_window_bits(bits), 4);
        assert!((stated * 9 / 10..=stated).contains(&held), "{bits} {held}");
    }
    // A head with a few bytes behind it is not worth a decompressor.
    let (agreed, _) = Deflate::accept(["permessage-deflate"], &options).unwrap();
    let mut decoder = Decoder::new(Role::Server).deflate(&agreed);
    let before = held();
    assert_eq!(decoder.decode(&mut &b"\x41\xfe\xff\xff\0\0\0\0\xf2\x48"[..]), Ok(None));
    assert!(held() - before < 500);
}
