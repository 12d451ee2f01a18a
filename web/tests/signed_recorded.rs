//! Signed values against what Tornado has written and read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use web::security::CookieSecret;

const KEYS: [(u32, &str); 3] =
    [(0, "It's a secret to everybody"), (3, "another one"), (41, "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")];

fn at(seconds: &str) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.parse().unwrap())
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_tornado_wrote_is_written_and_what_it_read_is_read() {
    let (mut written, mut read, mut refused) = (0, 0, 0);
    for line in include_str!("recorded/signed_values.tsv").lines().filter(|line| !line.starts_with('#')) {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["w", version, name, time, value, text] => {
                let secret = CookieSecret::rotating(version.parse().unwrap(), KEYS);
                assert_eq!(secret.sign(name, from_hex(value), at(time)), text, "{line}");
                written += 1;
            }
            ["r", name, now, days, text, value] => {
                let max_age = Duration::from_secs(days.parse::<u64>().unwrap() * 24 * 60 * 60);
                let expected = value.strip_prefix('+').map(from_hex);
                assert_eq!(CookieSecret::rotating(0, KEYS).verify(name, text, at(now), max_age), expected, "{line}");
                *if expected.is_some() { &mut read } else { &mut refused } += 1;
            }
            _ => panic!("{line:?}"),
        }
    }
    assert!(written >= 30 && read >= 100 && refused >= 100, "{written} {read} {refused}");
}
