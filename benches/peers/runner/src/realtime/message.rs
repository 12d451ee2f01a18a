//! What is sent.

use flate2::{Compress, Compression, FlushCompress};

/// The text that is published as the `number`th message: 100 bytes that need no escaping in JSON.
pub(super) fn published(number: u32) -> String {
    format!("{:.<100}", format!("message {number:06} to everybody"))
}

/// Bytes that are not UTF-8.
pub(super) fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + 0x80) as u8).collect()
}

/// A JSON text of 4 KiB, such as an application might send: a list of records that resemble each other.
pub(super) fn json() -> Vec<u8> {
    let mut text = String::from("[");
    let mut random = 12_345_u32;
    for id in 0.. {
        let mut word = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            WORDS[(random >> 24) as usize % WORDS.len()]
        };
        let record = format!(
            r#"{{"id":{},"user":"{}-{}","text":"{} {} {} {} {}","unread":{},"at":"2026-11-26T{:02}:{:02}:07Z"}},"#,
            48_211 + id * 3,
            word(),
            word(),
            word(),
            word(),
            word(),
            word(),
            word(),
            id % 3 == 0,
            id % 24,
            (id * 7) % 60,
        );
        if text.len() + record.len() + PADDING.len() > LENGTH {
            break;
        }
        text.push_str(&record);
    }
    let missing = LENGTH - text.len() - PADDING.len();
    text.push_str(&PADDING.replace("~", &format!("~{}", ".".repeat(missing))));
    text.into_bytes()
}

/// A message as permessage-deflate has it, by itself.
pub(super) fn compressed(message: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(message.len() + 64);
    Compress::new(Compression::new(6), false)
        .compress_vec(message, &mut output, FlushCompress::Sync)
        .expect("the compressor takes everything");
    output.truncate(output.len() - DEFLATE_TAIL.len());
    output
}

/// What ends a flushed block and is left out of a message: RFC 7692, 7.2.1.
pub(super) const DEFLATE_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const LENGTH: usize = 4096;

const PADDING: &str = r#"{"end":"~"}]"#;

const WORDS: [&str; 24] = [
    "water", "spout", "column", "cloud", "river", "harbour", "northern", "evening", "signal", "letter", "window",
    "garden", "engine", "paper", "silver", "mountain", "bridge", "quiet", "market", "winter", "station", "yellow",
    "copper", "island",
];
