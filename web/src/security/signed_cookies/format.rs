//! Tornado's format of signed values, version 2.
//!
//! `2|1:0|10:1300000000|3:key|8:dmFsdWU=|` and the signature: the version of the format, and then the version of the key, the
//! time, the name and the value in base64, each with its length in front, so that no field can be read as part of another.

use std::fmt::Write;

/// The fields of a signed value, which nothing has verified yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) key_version: u32,
    /// In seconds since 1970.
    pub(super) timestamp: u64,
    pub(super) name: &'a str,
    /// In base64.
    pub(super) value: &'a str,
    /// All that is signed.
    pub(super) signed: &'a str,
    /// In hexadecimal digits.
    pub(super) signature: &'a str,
}

impl<'a> Fields<'a> {
    /// Takes a signed value apart. `None` for any other text.
    ///
    /// Versions 0 and 1 have no mark of their own: whatever does not begin as version 2 is none that is taken.
    #[inline]
    pub(super) fn parse(text: &'a str) -> Option<Fields<'a>> {
        let mut rest = text.strip_prefix("2|")?;
        let key_version = number(field(&mut rest)?)?.try_into().ok()?;
        let timestamp = number(field(&mut rest)?)?;
        let (name, value) = (field(&mut rest)?, field(&mut rest)?);
        let (signed, signature) = text.split_at(text.len() - rest.len());
        Some(Fields { key_version, timestamp, name, value, signed, signature })
    }
}

/// All of a signed value but the signature.
#[inline]
pub(super) fn compose(key_version: u32, timestamp: u64, name: &str, value: &str) -> String {
    // The lengths and numbers, the separators, and the signature that follows.
    let mut text = String::with_capacity(name.len() + value.len() + 2 + 4 * 12 + 64);
    text.push_str("2|");
    for field in [&key_version.to_string(), &timestamp.to_string(), name, value] {
        // A String takes whatever is written to it. Lengths are of bytes: Tornado counts characters, and cannot read what it
        // wrote under a name beyond ASCII.
        let _ = write!(text, "{}:{field}|", field.len());
    }
    text
}

/// Cuts a field off the front of `rest`.
#[inline]
fn field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (length, behind) = rest.split_once(':')?;
    let length = usize::try_from(number(length)?).ok()?;
    // Neither beyond the end nor within a character.
    let field = behind.get(..length)?;
    *rest = behind.get(length..)?.strip_prefix('|')?;
    Some(field)
}

/// Digits alone, without a sign, and without zeros in front: each number has one text.
#[inline]
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_value_of_version_2_has_no_fields() {
        let good = "2|1:0|10:1300000000|3:key|8:dmFsdWU=|";
        assert!(Fields::parse(good).is_some());
        for text in [
            "",
            "|",
            "2|",
            "2|1",
            "2|1:",
            "2|1:x|10:1300000000|3:key|8:dmFsdWU=|",
            "2|+1:0|10:1300000000|3:key|8:dmFsdWU=|",
            "2|01:0|10:1300000000|3:key|8:dmFsdWU=|",
            "2|2:00|10:1300000000|3:key|8:dmFsdWU=|",
            "2|1:0|11:-1300000000|3:key|8:dmFsdWU=|",
            "2|1:0|10:1300000000|4:key|8:dmFsdWU=|",
            "2|1:0|10:1300000000|3:key|9:dmFsdWU=|",
            "2|1:0|10:1300000000|3:key|8:dmFsdWU=",
            "2|99999999999999999999:0|10:1300000000|3:key|8:dmFsdWU=|",
            "2|1:0|10:1300000000|1:é|8:dmFsdWU=|",
            "3|1:0|10:1300000000|3:key|8:dmFsdWU=|",
            " 2|1:0|10:1300000000|3:key|8:dmFsdWU=|",
            // Version 1.
            "dmFsdWU=|1300000000|31c934969f53e48164c50768b40cbd7e2daaaa4f",
        ] {
            assert_eq!(Fields::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_composed_is_taken_apart(key_version: u32, timestamp: u64, name: String, value: String, end in "[0-9a-f]*") {
            let signed = compose(key_version, timestamp, &name, &value);
            let text = format!("{signed}{end}");
            let fields = Fields { key_version, timestamp, name: &name, value: &value, signed: &signed, signature: &end };
            prop_assert_eq!(Fields::parse(&text), Some(fields));
        }

        #[test]
        fn whatever_has_fields_is_composed_of_them(text in "2\\|[0-3]:[0-9]{0,3}\\|[0-9]:[0-9]{0,9}\\|[0-9]:[a|:é]{0,9}\\|[0-9]:.{0,9}\\|[a-f]*") {
            if let Some(fields) = Fields::parse(&text) {
                let composed = compose(fields.key_version, fields.timestamp, fields.name, fields.value);
                prop_assert_eq!(composed + fields.signature, text);
            }
        }
    }
}
