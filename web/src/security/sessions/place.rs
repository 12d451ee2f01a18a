//! What of a session is where.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::store::AnyStore;
use crate::{error::Result, security::random};

/// Where sessions are kept.
pub(super) enum Place {
    /// With the client.
    Cookie,
    /// Under a key that the client has.
    Store(Box<dyn AnyStore>),
}

/// As much as browsers keep of a cookie, name and value together (RFC 6265bis, section 5.6).
const MOST_IN_COOKIE: usize = 4096;
const MOST_IN_STORE: usize = 64 * 1024;

impl Place {
    /// The longest text that a session may become.
    #[inline]
    pub(super) fn limit(&self) -> usize {
        match self {
            Place::Cookie => MOST_IN_COOKIE,
            Place::Store(_) => MOST_IN_STORE,
        }
    }
}

/// What is kept of a session.
pub(super) struct Record {
    /// When it began, in seconds since 1970.
    pub(super) created: u64,
    pub(super) values: Map<String, Value>,
}

impl Record {
    /// `None` for text that is no record: of another program, or of another version of this one.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Option<Record> {
        let mut record: Map<String, Value> = serde_json::from_slice(text).ok()?;
        let created = record.get("c")?.as_u64()?;
        match record.remove("v")? {
            Value::Object(values) => Some(Record { created, values }),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_within(&self, lifetime: Duration, now: u64) -> bool {
        now.saturating_sub(self.created) < lifetime.as_secs()
    }
}

#[inline]
pub(super) fn to_text(created: u64, values: &Map<String, Value>) -> String {
    json!({ "c": created, "v": values }).to_string()
}

/// 256 random bits, which nobody finds by trying.
#[inline]
pub(super) fn new_key() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::bytes::<32>()?))
}

/// Whether a client may mean one of our keys. A store is not asked for anything else.
#[inline]
pub(super) fn is_key(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_asked_for_keys_alone() {
        assert!(is_key(&new_key().unwrap()));
        for text in [String::new(), "a".repeat(42), "a".repeat(44), "a".repeat(42) + ":", "a".repeat(41) + "é"] {
            assert!(!is_key(&text), "{text}");
        }
    }
}
