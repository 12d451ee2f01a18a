//! Values with parameters, such as `form-data; name="a"; filename="b.txt"`.

use std::borrow::Cow;

use crate::{
    Error, Result,
    headers::{is_token_byte, trim_ows},
};

/// The parameters of a value (RFC 9110 5.6.6), name and value without quotes. It is used up by the first error.
///
/// Stricter than Tornado, and than most parsers of forms: two of them that disagree about where a quoted string ends see
/// different fields. A parameter without an equals sign, a quote that is not closed, and anything behind a closing quote
/// are refused. An unquoted value may have spaces in it, which some clients send in names of files.
///
/// Each step looks at the bytes of one parameter alone, so the time is linear in the length of the value.
pub(super) struct Params<'v> {
    rest: &'v [u8],
}

/// A name and a value.
type Param<'v> = (&'v [u8], Cow<'v, [u8]>);

impl<'v> Params<'v> {
    /// Those behind the first semicolon of `value`.
    #[inline]
    pub(super) fn of(value: &'v [u8]) -> Params<'v> {
        Params { rest: memchr::memchr(b';', value).map_or(&[], |at| &value[at..]) }
    }

    /// The parameter behind the semicolon that `rest` begins with; `None` if there is none, which is allowed.
    #[inline]
    fn param(&mut self) -> Result<Option<Param<'v>>> {
        let text = trim_ows(&self.rest[1..]);
        let end = text.iter().position(|&b| !is_token_byte(b)).unwrap_or(text.len());
        let (name, behind) = text.split_at(end);
        match behind {
            [b'=', b'"', quoted @ ..] if !name.is_empty() => {
                let (value, behind) = unquote(quoted).ok_or(MALFORMED)?;
                self.rest = trim_ows(behind);
                if !matches!(self.rest, [] | [b';', ..]) {
                    return Err(MALFORMED);
                }
                Ok(Some((name, value)))
            }
            [b'=', value @ ..] if !name.is_empty() => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                self.rest = &value[end..];
                let value = trim_ows(&value[..end]);
                match value.contains(&b'"') {
                    true => Err(MALFORMED),
                    false => Ok(Some((name, Cow::Borrowed(value)))),
                }
            }
            [] | [b';', ..] if name.is_empty() => {
                self.rest = behind;
                Ok(None)
            }
            _ => Err(MALFORMED),
        }
    }
}

impl<'v> Iterator for Params<'v> {
    type Item = Result<Param<'v>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.param() {
                Ok(Some(param)) => return Some(Ok(param)),
                Ok(None) => {}
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// What stands in front of the closing quote, and what follows it.
///
/// A backslash escapes a quote and a backslash, and stands for itself otherwise: browsers send it unescaped in names of
/// files.
#[inline]
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let plain = memchr::memchr2(b'"', b'\\', text)?;
    if text[plain] == b'"' {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain + 1..]));
    }
    let mut value = text[..plain].to_vec();
    let mut rest = &text[plain..];
    loop {
        match rest {
            [b'"', behind @ ..] => return Some((Cow::Owned(value), behind)),
            [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                value.push(*escaped);
                rest = behind;
            }
            [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
            [] => return None,
        }
    }
}

const MALFORMED: Error = Error::BadRequest("malformed parameters in a header value");

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn all(value: &str) -> Result<Vec<(String, String)>> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Params::of(value.as_bytes()).map(|param| param.map(|(name, value)| (text(name), text(&value)))).collect()
    }

    #[test]
    fn quotes_are_optional_and_protect_semicolons() {
        let expected = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x; c=\"y".to_owned())];
        assert_eq!(all(r#"t; a=1 ;b="x; c=\"y" ; "#).unwrap(), expected);
        assert_eq!(all("t").unwrap(), []);
        assert_eq!(all("t;; ;").unwrap(), []);
    }

    #[test]
    fn a_backslash_escapes_quotes_and_itself() {
        let value = |value: &str| all(value).unwrap().remove(0).1;
        assert_eq!(value(r#"t; a="C:\dir\\x\"y""#), r#"C:\dir\x"y"#);
        assert_eq!(value(r#"t; a="\\""#), r"\");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for value in [
            "t; a",
            "t; =b",
            "t; a=\"b",
            "t; a=\"b\"c",
            "t; a=b\"c\"",
            "t; a =b",
            "t; a=\"b\" c=d",
            "t; a=\"\\\"",
            "t; \"a\"=b",
        ] {
            assert!(all(value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_unquoted(params in vec(("[a-z]{1,5}", any::<String>()), 0..6)) {
            let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
            let value: String = params.iter().map(|(name, value)| format!("; {name}=\"{}\"", escape(value))).collect();
            prop_assert_eq!(all(&format!("form-data{value}")).unwrap(), params);
        }

        #[test]
        fn any_value_is_read_or_refused(value: Vec<u8>, near in "t(; ?[a-c]?=?\"?[\\\\\"a;]{0,3}\"?){0,4}") {
            Params::of(&value).for_each(drop);
            Params::of(near.as_bytes()).for_each(drop);
        }
    }
}
