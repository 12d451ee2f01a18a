//! Signed values that somebody has tampered with.

use std::time::{Duration, UNIX_EPOCH};

use web::security::CookieSecret;

/// A byte that says what is tried, and a text.
pub fn run(input: &[u8]) {
    let Some((&how, rest)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    any_text(&text);
    tampered(usize::from(how), &text);
}

/// Nobody without the key makes a text that is good, and what is taken apart is what was put together.
fn any_text(text: &str) {
    let secret = CookieSecret::new("a key that no fuzzer has");
    assert_eq!(secret.verify("key", text, UNIX_EPOCH, Duration::MAX), None, "{text:?}");
    assert_eq!(CookieSecret::key_version(text), reference(text), "{text:?}");
}

/// A value that was signed is read again, and one that was changed is not.
fn tampered(how: usize, text: &str) {
    let secret = CookieSecret::rotating(7, [(7, "one"), (8, "two")]);
    let middle = text.char_indices().nth(how % 8).map_or(text.len(), |(at, _)| at);
    let (name, value) = text.split_at(middle);
    let time = UNIX_EPOCH + Duration::from_secs(how as u64 * 1_000_003);
    let signed = secret.sign(name, value, time);
    assert_eq!(secret.verify(name, &signed, time, Duration::ZERO).as_deref(), Some(value.as_bytes()));
    assert_eq!(CookieSecret::key_version(&signed), Some(7));
    let at = (how * 31 + text.len()) % signed.len();
    if signed.is_char_boundary(at) && signed.is_char_boundary(at + 1) {
        for other in ["0", "|", ""] {
            let changed = format!("{}{other}{}", &signed[..at], &signed[at + 1..]);
            if changed != signed {
                assert_eq!(secret.verify(name, &changed, time, Duration::MAX), None, "{changed:?}");
            }
        }
    }
}

/// The version of the key, found as Tornado finds it: field by field, each with its length in front. Beyond Tornado, lengths and
/// numbers have one spelling, and fields end between characters.
fn reference(text: &str) -> Option<u32> {
    let mut rest = text.strip_prefix("2|")?;
    let mut fields = Vec::new();
    for _ in 0..4 {
        let length = canonical(&rest[..rest.find(':')?])?;
        rest = &rest[rest.find(':')? + 1..];
        let length =
            usize::try_from(length).ok().filter(|&length| length < rest.len() && rest.is_char_boundary(length))?;
        fields.push(&rest[..length]);
        rest = rest[length..].strip_prefix('|')?;
    }
    canonical(fields[1])?;
    u32::try_from(canonical(fields[0])?).ok()
}

fn canonical(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}
