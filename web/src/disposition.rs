//! `Content-Disposition`: under which name a client stores what it gets (RFC 6266).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may not stand for itself in `filename*`: all but the `attr-char` of RFC 8187, section 3.2.1.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The value of the header; `kind` is `attachment` or `inline`.
///
/// A name that is not plain ASCII is given twice, as RFC 6266 has it in section 5: for all clients in letters that none of
/// them misreads, and in full for those that know `filename*`, which goes first whatever the order. Control characters and
/// the separators of paths are no part of a name, and become `_` in both.
#[inline]
pub(crate) fn content_disposition(kind: &str, name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    if name.is_empty() {
        return kind.to_owned();
    }
    if name.chars().all(is_plain) {
        return format!("{kind}; filename=\"{name}\"");
    }
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, ENCODED))
}

/// Whether all clients read it alike between quotes. They differ over escaped quotes, and some decode `%41` (RFC 6266,
/// appendix D).
#[inline]
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_are_quoted() {
        assert_eq!(content_disposition("attachment", "report.pdf"), "attachment; filename=\"report.pdf\"");
        assert_eq!(content_disposition("inline", "a b;c='d'.txt"), "inline; filename=\"a b;c='d'.txt\"");
        assert_eq!(content_disposition("attachment", ""), "attachment");
    }

    #[test]
    fn other_names_are_given_in_full_as_well() {
        assert_eq!(
            content_disposition("attachment", "naïve file.txt"),
            "attachment; filename=\"na_ve file.txt\"; filename*=UTF-8''na%C3%AFve%20file.txt"
        );
        assert_eq!(
            content_disposition("attachment", "€ rates"),
            "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"
        );
        assert_eq!(
            content_disposition("attachment", "50%.txt"),
            "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"
        );
        assert_eq!(
            content_disposition("attachment", "a\"b.txt"),
            "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"
        );
    }

    #[test]
    fn names_are_no_paths_and_no_header_lines() {
        assert_eq!(content_disposition("attachment", "../../etc/passwd"), "attachment; filename=\".._.._etc_passwd\"");
        assert_eq!(content_disposition("attachment", "a\\b"), "attachment; filename=\"a_b\"");
        assert_eq!(content_disposition("attachment", "a\r\nX: y\0"), "attachment; filename=\"a__X: y_\"");
    }

    proptest! {
        #[test]
        fn any_name_is_one_parameter_that_decodes_to_itself(name in "[ -~\u{0}-\u{1f}äß€\u{85}😀\"%\\\\]{0,20}") {
            let value = content_disposition("attachment", &name);
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", value);
            let shown: String =
                name.chars().map(|c| if c.is_control() || c == '/' || c == '\\' { '_' } else { c }).collect();
            let Some(rest) = value.strip_prefix("attachment; filename=\"") else {
                prop_assert_eq!((value.as_str(), name.as_str()), ("attachment", ""));
                return Ok(());
            };
            let (quoted, rest) = rest.split_once('"').expect("a closing quote");
            prop_assert!(!quoted.contains(['\\', '%']));
            match rest.strip_prefix("; filename*=UTF-8''") {
                Some(encoded) => {
                    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().expect("UTF-8");
                    prop_assert_eq!(decoded, shown);
                    prop_assert!(!encoded.contains([' ', ';', '"', ',']), "{}", encoded);
                }
                None => prop_assert_eq!((quoted, rest), (shown.as_str(), "")),
            }
        }
    }
}
