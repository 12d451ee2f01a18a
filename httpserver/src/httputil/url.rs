use super::arguments::{decode, raw_pairs};

/// Returns `url` with `arguments` added to its query, in front of the fragment if there is one.
///
/// The arguments that are there already are kept and written anew, so that `x` becomes `x=`, as in Tornado. Bytes that
/// are not UTF-8 stay what they are, where Tornado replaces them. There is no limit to the number of arguments.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::url_concat;
///
/// assert_eq!(url_concat("https://example.com/search?a=1#top", [("q", "two words")]),
///     "https://example.com/search?a=1&q=two+words#top");
/// assert_eq!(url_concat("/plain", [("", ""); 0]), "/plain");
/// ```
#[inline]
pub fn url_concat<N: AsRef<[u8]>, V: AsRef<[u8]>>(url: &str, arguments: impl IntoIterator<Item = (N, V)>) -> String {
    let (rest, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut text = String::with_capacity(url.len() + 32);
    text.push_str(path);
    let mut separator = '?';
    for (name, value) in raw_pairs(query.as_bytes()) {
        push_pair(&mut text, &mut separator, &decode(name), &decode(value));
    }
    for (name, value) in arguments {
        push_pair(&mut text, &mut separator, name.as_ref(), value.as_ref());
    }
    text.push_str(fragment);
    text
}

/// Returns `arguments` as a query string or as the body of a form (`application/x-www-form-urlencoded`). What
/// [`Arguments`](super::Arguments) reads from it is what was given.
///
/// Letters, digits and `-._~` stay; a space becomes `+`, and every other byte `%` with two digits.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::encode_arguments;
///
/// assert_eq!(encode_arguments([("name", "Ada & Co"), ("page", "2")]), "name=Ada+%26+Co&page=2");
/// ```
#[inline]
pub fn encode_arguments<N: AsRef<[u8]>, V: AsRef<[u8]>>(arguments: impl IntoIterator<Item = (N, V)>) -> String {
    let mut text = String::new();
    let mut separator = '?';
    for (name, value) in arguments {
        push_pair(&mut text, &mut separator, name.as_ref(), value.as_ref());
    }
    // The first separator is the question mark of a URL.
    if !text.is_empty() {
        text.remove(0);
    }
    text
}

/// Appends one argument and the separator in front of it, which is an ampersand from then on.
#[inline]
fn push_pair(text: &mut String, separator: &mut char, name: &[u8], value: &[u8]) {
    text.push(*separator);
    push_encoded(text, name);
    text.push('=');
    push_encoded(text, value);
    *separator = '&';
}

#[inline]
fn push_encoded(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            b' ' => text.push('+'),
            _ => {
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::httputil::Arguments;

    /// Those of Tornado's `TestUrlConcat`.
    #[test]
    fn tornados_vectors() {
        let two = [("y", "y"), ("z", "z")];
        for (url, expected) in [
            ("https://localhost/path", "https://localhost/path?y=y&z=z"),
            ("https://localhost/path?", "https://localhost/path?y=y&z=z"),
            ("https://localhost/path?x", "https://localhost/path?x=&y=y&z=z"),
            ("https://localhost/path?x&", "https://localhost/path?x=&y=y&z=z"),
            ("https://localhost/path?a=1&b=2", "https://localhost/path?a=1&b=2&y=y&z=z"),
            ("https://localhost/path?r=1&r=2", "https://localhost/path?r=1&r=2&y=y&z=z"),
            ("https://localhost/path#tab", "https://localhost/path?y=y&z=z#tab"),
        ] {
            assert_eq!(url_concat(url, two), expected);
        }
        assert_eq!(
            url_concat("https://localhost/path", [("y", "/y"), ("z", "z")]),
            "https://localhost/path?y=%2Fy&z=z"
        );
        assert_eq!(
            url_concat("https://localhost/path?r=1&t=2", [("y", "y1"), ("y", "y2")]),
            "https://localhost/path?r=1&t=2&y=y1&y=y2"
        );
        assert_eq!(url_concat("https://localhost/path?r=1&t=2", [("", ""); 0]), "https://localhost/path?r=1&t=2");
    }

    #[test]
    fn a_question_mark_in_the_fragment_begins_no_query() {
        assert_eq!(url_concat("/a#b?c=d", [("e", "f")]), "/a?e=f#b?c=d");
    }

    fn as_given(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn pairs_of(encoded: &str) -> Vec<(String, String)> {
        let arguments = Arguments::parse(encoded.as_bytes()).unwrap();
        arguments.iter().map(Result::unwrap).map(|(name, value)| (name.into(), value.into())).collect()
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(pairs in vec(any::<(String, String)>(), 0..20)) {
            prop_assert_eq!(pairs_of(&encode_arguments(as_given(&pairs))), pairs);
        }

        #[test]
        fn concatenation_appends_to_what_is_there(
            path in "/[a-z/.%]{0,10}",
            there in vec(any::<(String, String)>(), 0..5),
            added in vec(any::<(String, String)>(), 0..5),
            fragment in "(#[a-z?&=#]{0,8})?",
        ) {
            let url = format!("{path}?{}{fragment}", encode_arguments(as_given(&there)));
            let whole = url_concat(&url, as_given(&added));
            let rest = whole.strip_suffix(fragment.as_str()).unwrap();
            let (kept, query) = rest.split_once('?').unwrap_or((rest, ""));
            prop_assert_eq!(kept, path);
            prop_assert_eq!(pairs_of(query), [there, added].concat());
        }
    }
}
