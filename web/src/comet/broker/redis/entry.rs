//! Entries of streams.

use httpserver::Bytes;
use redis::RedisResult;
use serde_core::de::IgnoredAny;

/// An id: the time in milliseconds, and a number within it.
pub(super) type Id = (u64, u64);

/// An entry as the crate `redis` reads it: its id, and its fields and values in turn.
pub(super) type Row = (String, Vec<Vec<u8>>);

/// A message that was read.
#[derive(Debug)]
pub(super) struct ReadMessage {
    pub(super) id: Id,
    pub(super) data: Bytes,
    pub(super) key: Option<String>,
}

/// The field with the message.
pub(super) const DATA: &str = "data";
/// The field with its key.
pub(super) const KEY: &str = "key";
/// The field of an entry that only marks where a stream begins.
pub(super) const BEGIN: &str = "begin";

pub(super) fn id_text(id: Id) -> String {
    format!("{}-{}", id.0, id.1)
}

/// # Errors
///
/// When it is none, which no server sends.
pub(super) fn parse_id(text: &str) -> RedisResult<Id> {
    let id = text.split_once('-').and_then(|(time, number)| Some((time.parse().ok()?, number.parse().ok()?)));
    id.ok_or_else(|| (redis::ErrorKind::UnexpectedReturnType, "not the id of an entry", text.to_owned()).into())
}

/// The largest id that is less.
pub(super) fn before(id: Id) -> Id {
    match id {
        (0, 0) => id,
        (time, 0) => (time - 1, u64::MAX),
        (time, number) => (time, number - 1),
    }
}

/// The smallest id that is greater.
pub(super) fn after(id: Id) -> Id {
    id.1.checked_add(1).map_or((id.0 + 1, 0), |number| (id.0, number))
}

/// The message of an entry; `None` for marks, and for what others have written and is no message.
pub(super) fn message(id: Id, fields: &[Vec<u8>]) -> Option<ReadMessage> {
    let mut message = ReadMessage { id, data: Bytes::new(), key: None };
    for pair in fields.chunks_exact(2) {
        match &*pair[0] {
            name if name == DATA.as_bytes() => message.data = Bytes::copy_from_slice(&pair[1]),
            name if name == KEY.as_bytes() => message.key = String::from_utf8(pair[1].clone()).ok(),
            _ => {}
        }
    }
    // Others put it into JSON of their own.
    serde_json::from_slice::<IgnoredAny>(&message.data).ok().map(|_| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_have_neighbours() {
        assert_eq!(parse_id("17-3").expect("an id"), (17, 3));
        assert!(parse_id("17").is_err());
        for id in [(1, 0), (17, 3), (17, u64::MAX)] {
            assert_eq!((after(before(id)), before(after(id))), (id, id));
        }
        assert_eq!(before((0, 0)), (0, 0));
    }

    #[test]
    fn only_json_is_a_message() {
        let fields = |fields: &[&str]| fields.iter().map(|field| field.as_bytes().to_vec()).collect::<Vec<_>>();
        let whole = message((1, 0), &fields(&["data", "[1]", "key", "k"])).expect("a message");
        assert_eq!((&whole.data[..], whole.key.as_deref()), (&b"[1]"[..], Some("k")));
        for no_message in [&["begin", "1"][..], &["data", "[1"], &["data"], &[]] {
            assert!(message((1, 0), &fields(no_message)).is_none(), "{no_message:?}");
        }
    }
}
