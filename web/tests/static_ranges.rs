//! Several ranges of a file, and files that are large.

mod util;

use std::fs;

use proptest::{prelude::*, test_runner::TestRunner};
use util::{Reply, Server, site::Site};

fn ask(server: &Server, target: &str, ranges: &str) -> Reply {
    server.send("GET", target, &format!("Range: {ranges}\r\n"), "")
}

/// The parts of a `multipart/byteranges`: type, range and content of each.
fn parts(reply: &Reply) -> Vec<(String, String, Vec<u8>)> {
    let content_type = reply.header("content-type").expect("a type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
    let mut rest = &reply.body[..];
    let mut parts = Vec::new();
    let mut delimiter = format!("--{boundary}");
    loop {
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
        delimiter = format!("\r\n--{boundary}");
        if rest == b"--\r\n" {
            return parts;
        }
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let head = std::str::from_utf8(&rest[..end]).expect("text");
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).expect("a line").to_owned();
        let (content_type, range) = (line("Content-Type: "), line("Content-Range: "));
        let (bounds, _) = range.strip_prefix("bytes ").and_then(|range| range.split_once('/')).expect("a range");
        let (first, last) = bounds.split_once('-').expect("bounds");
        let length = last.parse::<usize>().expect("a number") + 1 - first.parse::<usize>().expect("a number");
        parts.push((content_type, range, rest[end..end + length].to_vec()));
        rest = &rest[end + length..];
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn several_ranges_are_parts() {
    let site = Site::new();
    let content = pattern(300_000);
    site.write("data.css", &content);
    let server = site.serve();
    let reply = ask(&server, "/static/data.css", "bytes=200000-299998, 0-9,-1000");
    assert_eq!(reply.status, 206);
    assert_eq!(reply.header("content-range"), None);
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    let of = |range: std::ops::Range<usize>| {
        let text = format!("bytes {}-{}/300000", range.start, range.end - 1);
        ("text/css; charset=utf-8".to_owned(), text, content[range].to_vec())
    };
    assert!(parts(&reply) == [of(200_000..300_000), of(0..10)], "the suffix and the first overlap");
    let reply = ask(&server, "/static/data.css", "bytes=0-0,1000-1000,2000-2000");
    assert!(parts(&reply) == [of(0..1), of(1000..1001), of(2000..2001)]);
}

#[test]
fn parts_of_which_one_is_left_are_sent_as_such() {
    let site = Site::new();
    let server = site.serve();
    for (asked, body, range) in [("bytes=1-2,4-5", "bcdef", "bytes 1-5/26"), ("bytes=99-,25-", "z", "bytes 25-25/26")] {
        let reply = ask(&server, "/static/letters.txt", asked);
        assert_eq!((reply.status, reply.text(), reply.header("content-range")), (206, body, Some(range)), "{asked}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let reply = ask(&server, "/static/letters.txt", "bytes=0-9,10-,3-4");
    assert_eq!((reply.status, reply.body.len(), reply.header("content-range")), (200, 26, None));
    let reply = ask(&server, "/static/letters.txt", "bytes=99-,-0");
    assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */26")));
}

/// The attack on Apache of 2011 (CVE-2011-3192): many ranges that overlap, each with a copy of its own.
#[test]
fn ranges_never_add_up_to_more_than_the_file() {
    let site = Site::new();
    site.write("data.bin", pattern(100_000));
    let server = site.serve();
    let many: Vec<String> = (0..1000).map(|start| format!("{start}-")).collect();
    let reply = ask(&server, "/static/data.bin", &format!("bytes={}", many.join(",")));
    assert_eq!((reply.status, reply.body.len()), (200, 100_000));
    let overlapping: Vec<String> = (5..30).map(|start| format!("{start}-99998")).collect();
    let reply = ask(&server, "/static/data.bin", &format!("bytes={}", overlapping.join(",")));
    assert_eq!((reply.status, reply.body.len()), (206, 99_994));
}

#[test]
fn the_parts_are_those_that_a_slow_reader_cuts_out() {
    const SIZE: usize = 2_000;
    let site = Site::new();
    let content = pattern(SIZE);
    site.write("data.bin", &content);
    let server = site.serve();
    let range = (proptest::option::of(0..2 * SIZE), proptest::option::of(0..2 * SIZE));
    let ranges = proptest::collection::vec(range, 1..6);
    TestRunner::new(ProptestConfig::with_cases(200))
        .run(&ranges, |ranges| {
            let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
            let texts: Vec<String> =
                ranges.iter().map(|&(first, last)| format!("{}-{}", number(first), number(last))).collect();
            let reply = ask(&server, "/static/data.bin", &format!("bytes={}", texts.join(",")));
            let wanted: Vec<usize> = (0..SIZE)
                .filter(|&at| {
                    ranges.iter().any(|range| match *range {
                        (None, None) => false,
                        (None, Some(suffix)) => at + suffix >= SIZE,
                        (Some(first), last) => at >= first && last.is_none_or(|last| at <= last),
                    })
                })
                .collect();
            // Of each byte that was sent, where in the file it is.
            let sent: Vec<usize> = match reply.status {
                200 => {
                    prop_assert!(reply.body == content);
                    return Ok(());
                }
                416 => Vec::new(),
                _ => {
                    let ranges = match reply.header("content-range") {
                        Some(range) => vec![(range.to_owned(), reply.body.clone())],
                        None => parts(&reply).into_iter().map(|(_, range, body)| (range, body)).collect(),
                    };
                    let mut sent = Vec::new();
                    for (range, body) in ranges {
                        let first = range["bytes ".len()..].split('-').next().expect("a number");
                        let first: usize = first.parse().expect("a number");
                        prop_assert!(body == content[first..first + body.len()]);
                        sent.extend(first..first + body.len());
                    }
                    sent
                }
            };
            prop_assert!(ranges.iter().all(|range| *range != (None, None)), "which is no range");
            prop_assert!(wanted.iter().all(|at| sent.contains(at)), "{:?}", texts);
            prop_assert_eq!(wanted.is_empty(), sent.is_empty());
            Ok(())
        })
        .unwrap();
}

#[test]
fn files_beyond_four_gibibytes_have_their_length_and_their_ranges() {
    use std::os::unix::fs::FileExt;

    const LENGTH: u64 = 5 * 1024 * 1024 * 1024;
    let site = Site::new();
    let path = site.root().join("large.bin");
    let file = fs::File::create(&path).unwrap();
    file.set_len(LENGTH).unwrap();
    file.write_all_at(b"the end", LENGTH - 7).unwrap();
    let server = site.serve_by_tcp();
    let head = server.send("HEAD", "/static/large.bin", "", "");
    assert_eq!(head.header("content-length"), Some(LENGTH.to_string().as_str()));
    let mut client = server.connect();
    client.request("GET", "/static/large.bin", "", "");
    assert_eq!(client.head().header("content-length"), Some(LENGTH.to_string().as_str()));
    let reply = ask(&server, "/static/large.bin", "bytes=-100000");
    assert_eq!((reply.status, reply.body.len()), (206, 100_000));
    assert!(reply.body.ends_with(b"\0the end"));
    let reply = ask(&server, "/static/large.bin", "bytes=4294967290-4294967300,-7");
    let parts = parts(&reply);
    assert_eq!(parts[0].1, "bytes 4294967290-4294967300/5368709120");
    assert_eq!(parts[1].2, b"the end");
}

#[test]
fn a_file_that_shrinks_ends_its_parts() {
    let site = Site::new();
    let path = site.write("data.bin", vec![1; 30_000_000]);
    let server = site.serve_by_tcp();
    let mut client = server.connect();
    client.request("GET", "/static/data.bin", "Range: bytes=0-9,1000-29999999\r\n", "");
    let length: usize = client.head().header("content-length").unwrap().parse().unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    assert!(client.rest().len() < length);
}

#[test]
fn downloads_that_nobody_takes_hold_up_nobody() {
    let site = Site::new();
    fs::File::create(site.root().join("large.bin")).unwrap().set_len(1 << 30).unwrap();
    let server = site.serve_by_tcp();
    // One that is taken as fast as it comes, and some that are not taken at all.
    let idle: Vec<_> = (0..10)
        .map(|number| {
            let mut client = server.connect();
            let ranges = if number % 2 == 0 { "" } else { "Range: bytes=0-500000000,600000000-1000000000\r\n" };
            client.request("GET", "/static/large.bin", ranges, "");
            client.head();
            client
        })
        .collect();
    let mut busy = server.connect();
    busy.request("GET", "/static/large.bin", "", "");
    busy.head();
    for _ in 0..20 {
        busy.take(1 << 20);
        assert_eq!(server.get("/static/letters.txt").text(), "abcdefghijklmnopqrstuvwxyz");
    }
    drop(idle);
}
