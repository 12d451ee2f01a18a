use std::{
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::format::{Fields, compose};
use crate::security::wall_clock::seconds;

/// What values are signed with: one key, or several of which the older ones are only read.
///
/// Given to an application by [`Application::cookie_secret`](crate::Application::cookie_secret), it signs the cookies of
/// [`Exchange::set_signed_cookie`](crate::Exchange::set_signed_cookie). It signs other things as well: tokens in links, state
/// in hidden fields. Format and result are those of Tornado's `create_signed_value` and `decode_signed_value`, version 2, with
/// HMAC-SHA-256; signatures are compared in constant time.
///
/// Whoever knows a key can sign anything. Take 32 random bytes, keep them out of the source, and [replace](Self::rotating)
/// them when somebody may have seen them.
///
/// # Examples
///
/// A link to confirm an address, good for a day:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use web::security::CookieSecret;
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
///
/// let secret = CookieSecret::new("It's a secret to everybody");
/// let token = secret.sign("confirm", "ada@example.org", SystemTime::now());
/// assert_eq!(secret.verify("confirm", &token, SystemTime::now(), DAY).unwrap(), b"ada@example.org");
/// // It is good for what it was made for and nothing else.
/// assert_eq!(secret.verify("user", &token, SystemTime::now(), DAY), None);
/// ```
#[derive(Clone)]
pub struct CookieSecret {
    /// The place in `keys` of the one that signs.
    current: usize,
    keys: Vec<Key>,
}

/// A key that has gone through the first half of each hash already.
#[derive(Clone)]
struct Key {
    version: u32,
    hmac: Hmac<Sha256>,
}

/// How far a time of signing may lie ahead: the clocks of several machines are never quite the same.
const SKEW: Duration = Duration::from_secs(60);

impl CookieSecret {
    /// One key, of version 0: what Tornado does with a `cookie_secret` that is a text.
    ///
    /// # Panics
    ///
    /// When it is empty.
    #[track_caller]
    #[inline]
    pub fn new(key: impl AsRef<[u8]>) -> CookieSecret {
        CookieSecret::rotating(0, [(0, key)])
    }

    /// Several keys by their versions, of which that of the version `current` signs and all of them verify: Tornado's
    /// `cookie_secret` with `key_version`.
    ///
    /// To replace a key, add one with a new version and have it sign. What was signed with the old one stays good until that
    /// is taken out. If the old one may have become known, take it out at once: everybody has to sign in again.
    ///
    /// # Panics
    ///
    /// When a key is empty, a version is there twice, or none is `current`.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, security::CookieSecret};
    ///
    /// # let (of_march, of_june) = ("March", "June");
    /// let application = Application::new().cookie_secret(CookieSecret::rotating(2, [(1, of_march), (2, of_june)]));
    /// ```
    #[track_caller]
    #[inline]
    pub fn rotating<K: AsRef<[u8]>>(current: u32, keys: impl IntoIterator<Item = (u32, K)>) -> CookieSecret {
        let mut known: Vec<Key> = Vec::new();
        for (version, key) in keys {
            assert!(!key.as_ref().is_empty(), "the key of version {version} is empty: anybody could sign");
            assert!(known.iter().all(|key| key.version != version), "there are two keys of version {version}");
            known.push(Key::new(version, key.as_ref()));
        }
        let current = known.iter().position(|key| key.version == current);
        CookieSecret { current: current.expect("one of the keys has to be of the current version"), keys: known }
    }

    /// Signs a value under a name, as of `time`.
    #[inline]
    pub fn sign(&self, name: &str, value: impl AsRef<[u8]>, time: SystemTime) -> String {
        let key = &self.keys[self.current];
        let mut text = compose(key.version, seconds(time), name, &STANDARD.encode(value));
        let signature = key.begin(&text).finalize().into_bytes();
        push_hex(&mut text, &signature);
        text
    }

    /// Returns the value in `signed`, if it was signed under this name with one of these keys, not longer than `max_age`
    /// before `now`. A value from the future is refused, but for a minute by which clocks may differ.
    ///
    /// Any text may be given: what is no signed value is `None`.
    #[inline]
    pub fn verify(&self, name: &str, signed: &str, now: SystemTime, max_age: Duration) -> Option<Vec<u8>> {
        Some(self.verify_timed(name, signed, now, max_age)?.0)
    }

    /// [`verify`](CookieSecret::verify), with the time of signing in seconds since 1970.
    #[inline]
    pub(crate) fn verify_timed(
        &self,
        name: &str,
        signed: &str,
        now: SystemTime,
        max_age: Duration,
    ) -> Option<(Vec<u8>, u64)> {
        let fields = Fields::parse(signed)?;
        let key = self.keys.iter().find(|key| key.version == fields.key_version)?;
        // In constant time. Nothing else of the text counts before.
        key.begin(fields.signed).verify_slice(&from_hex(fields.signature)?).ok()?;
        let (earliest, latest) = (seconds(now).saturating_sub(max_age.as_secs()), seconds(now) + SKEW.as_secs());
        if fields.name != name || !(earliest..=latest).contains(&fields.timestamp) {
            return None;
        }
        Some((STANDARD.decode(fields.value).ok()?, fields.timestamp))
    }

    /// The version of the key that `signed` says it was signed with, whether that is true or not: to count what is left of an
    /// old key. Tornado's `get_signature_key_version`.
    #[inline]
    pub fn key_version(signed: &str) -> Option<u32> {
        Some(Fields::parse(signed)?.key_version)
    }
}

impl Key {
    #[inline]
    fn new(version: u32, key: &[u8]) -> Key {
        Key { version, hmac: Hmac::new_from_slice(key).expect("HMAC takes keys of any length") }
    }

    #[inline]
    fn begin(&self, text: &str) -> Hmac<Sha256> {
        let mut hmac = self.hmac.clone();
        hmac.update(text.as_bytes());
        hmac
    }
}

impl<K: AsRef<[u8]>> From<K> for CookieSecret {
    /// As [`CookieSecret::new`].
    #[track_caller]
    #[inline]
    fn from(key: K) -> CookieSecret {
        CookieSecret::new(key)
    }
}

/// Without the keys.
impl fmt::Debug for CookieSecret {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<u32> = self.keys.iter().map(|key| key.version).collect();
        f.debug_struct("CookieSecret")
            .field("versions", &versions)
            .field("current", &self.keys[self.current].version)
            .finish_non_exhaustive()
    }
}

#[inline]
fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
}

/// Lower-case digits alone: the signature is the one thing that no signature covers, and each has one text.
#[inline]
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some(bytes)
}
