use std::borrow::Cow;

use super::params::Params;
use crate::{Error, Headers, Result, built_headers::without_params};

/// The head of a part: the name of the field, the name of the file if it is one, and the header lines.
#[derive(Clone, Debug)]
pub struct PartHead {
    name: String,
    file_name: Option<String>,
    headers: Headers,
}

impl PartHead {
    /// The name of the form's field, never empty.
    #[inline]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file, as the client gave it; `None` if the part is no file. It may have any characters, slashes and
    /// `..` included, and must not be used as a path. It is empty if the user chose no file.
    #[inline]
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The value of the part's `Content-Type`, which the client may have guessed; `None` if there is none.
    #[inline]
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get("content-type")
    }

    /// The header lines.
    #[inline]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Reads the head of a part, without the empty line at its end.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Result<PartHead> {
        let headers = Headers::parse_lines(text)?;
        let mut dispositions = headers.get_all("content-disposition");
        let (Some(value), None) = (dispositions.next(), dispositions.next()) else {
            return Err(Error::BadRequest("a part without a Content-Disposition, or with several"));
        };
        let found = Disposition::parse(value)?;
        drop(dispositions);
        let name = text_of(found.name.ok_or(NO_NAME)?, "the name of a part is not UTF-8")?;
        if name.is_empty() {
            return Err(NO_NAME);
        }
        let file_name = match found.extended_file_name {
            Some(value) => Some(decode_extended(&value)?),
            None => found.file_name.map(|value| text_of(value, "the name of a file is not UTF-8")).transpose()?,
        };
        Ok(PartHead { name, file_name, headers })
    }
}

/// The parameters of `Content-Disposition: form-data` that mean something in a form.
#[derive(Default)]
struct Disposition<'v> {
    name: Option<Cow<'v, [u8]>>,
    file_name: Option<Cow<'v, [u8]>>,
    /// `filename*`. RFC 7578 4.2 forbids it to clients, and some send it.
    extended_file_name: Option<Cow<'v, [u8]>>,
}

impl<'v> Disposition<'v> {
    #[inline]
    fn parse(value: &'v [u8]) -> Result<Disposition<'v>> {
        if !without_params(value).eq_ignore_ascii_case(b"form-data") {
            return Err(Error::BadRequest("the Content-Disposition of a part is not form-data"));
        }
        let mut found = Disposition::default();
        for param in Params::of(value) {
            let (name, value) = param?;
            let place = match () {
                () if name.eq_ignore_ascii_case(b"name") => &mut found.name,
                () if name.eq_ignore_ascii_case(b"filename") => &mut found.file_name,
                () if name.eq_ignore_ascii_case(b"filename*") => &mut found.extended_file_name,
                () => continue,
            };
            // Of two names one parser takes the first and another the last.
            if place.replace(value).is_some() {
                return Err(Error::BadRequest("a part with two names"));
            }
        }
        Ok(found)
    }
}

/// The value of `filename*` (RFC 8187): charset, language and percent-encoded text, separated by single quotes.
#[inline]
fn decode_extended(value: &[u8]) -> Result<String> {
    const MALFORMED: Error = Error::BadRequest("malformed filename* of a part");
    let mut pieces = value.splitn(3, |&b| b == b'\'');
    let (Some(charset), Some(_), Some(text)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(MALFORMED);
    };
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return Err(MALFORMED);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(MALFORMED);
                // Two hexadecimal digits are a byte.
                decoded.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = behind;
            }
            (b'%', _) => return Err(MALFORMED),
            _ => {
                decoded.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(decoded).map_err(|_| MALFORMED)
}

#[inline]
fn text_of(value: Cow<'_, [u8]>, not_utf8: &'static str) -> Result<String> {
    String::from_utf8(value.into_owned()).map_err(|_| Error::BadRequest(not_utf8))
}

const NO_NAME: Error = Error::BadRequest("a part without a name");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PartHead> {
        PartHead::parse(text.as_bytes())
    }

    #[test]
    fn the_extended_name_of_a_file_counts() {
        let head =
            parse("content-disposition: FORM-DATA; name=a; filename=\"b\"; filename*=UTF-8'en'%C3%84%20b").unwrap();
        assert_eq!((head.name(), head.file_name()), ("a", Some("\u{c4} b")));
        for broken in ["UTF-8''%", "UTF-8''%4", "UTF-8''%zz", "UTF-8''%ff", "latin1''a", "UTF-8'a", "a"] {
            assert!(parse(&format!("Content-Disposition: form-data; name=a; filename*={broken}")).is_err(), "{broken}");
        }
    }

    #[test]
    fn header_lines_are_those_of_the_part() {
        let head = parse("Content-Disposition: form-data; name=a\r\nContent-Type:  text/plain \r\nX: y").unwrap();
        assert_eq!(head.content_type(), Some("text/plain"));
        assert_eq!(head.headers().get("x"), Some("y"));
        assert_eq!((head.name(), head.file_name()), ("a", None));
    }

    #[test]
    fn a_name_is_looked_for_among_the_parameters_alone() {
        let head = parse(r#"Content-Disposition: form-data; filename="a; name=evil"; name="good""#).unwrap();
        assert_eq!((head.name(), head.file_name()), ("good", Some("a; name=evil")));
    }

    #[test]
    fn what_is_no_head_of_a_form_is_refused() {
        for text in [
            "",
            "Content-Type: text/plain",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; name=\"\"",
            "Content-Disposition: form-data; filename=a",
            "Content-Disposition: attachment; name=a",
            "Content-Disposition: form-data; name=a; name=b",
            "Content-Disposition: form-data; name=a; NAME=a",
            "Content-Disposition: form-data; name=a; filename=b; filename=c",
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            "Content-Disposition: form-data; name=\"a\rb\"",
            "Content-Disposition: form-data; name=\"a\nb\"",
            "Content-Disposition: form-data; name=\"a\0b\"",
            "Content-Disposition: form-data;\r\n name=a",
            "Content-Disposition : form-data; name=a",
            "no colon",
            "Content-Disposition: form-data; name=a\r\n\r\n",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.status(), Some(http::StatusCode::BAD_REQUEST), "{text:?}");
        }
        let error = PartHead::parse(b"Content-Disposition: form-data; name=\"\xff\"").unwrap_err();
        assert!(matches!(error, Error::BadRequest(_)));
    }
}
