//! Text that came from outside, made safe for a page or for a log.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Escapes `&`, `<`, `>`, `"` and `'` so that `text` can stand in HTML, as content or in a quoted attribute.
///
/// Borrows when there is nothing to escape.
///
/// # Examples
///
/// ```
/// assert_eq!(web::xhtml_escape("plain"), "plain");
/// assert_eq!(web::xhtml_escape("<a href='x'>"), "&lt;a href=&#39;x&#39;&gt;");
/// ```
pub fn xhtml_escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| entity(byte).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(entity) = entity(byte) {
            escaped.push_str(&text[copied..at]);
            escaped.push_str(entity);
            copied = at + 1;
        }
    }
    escaped.push_str(&text[copied..]);
    Cow::Owned(escaped)
}

fn entity(byte: u8) -> Option<&'static str> {
    match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&#39;"),
        _ => None,
    }
}

/// Shows a value on one line: control characters (line breaks and terminal escapes among them) come out as `\n`,
/// `\u{1b}` and so on, so that nothing a client sends can forge a log line.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_line_hazard) {
            self.0.write_str(&rest[..at])?;
            let mut tail = rest[at..].chars();
            if let Some(hazard) = tail.next() {
                write!(self.0, "{}", hazard.escape_default())?;
            }
            rest = tail.as_str();
        }
        self.0.write_str(rest)
    }
}

/// U+2028 and U+2029 are line breaks to some log viewers.
fn is_line_hazard(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_becomes_an_entity() {
        assert_eq!(xhtml_escape("a&b<c>d\"e'f"), "a&amp;b&lt;c&gt;d&quot;e&#39;f");
        assert_eq!(xhtml_escape("é<"), "é&lt;");
    }

    #[test]
    fn text_without_specials_is_borrowed() {
        assert!(matches!(xhtml_escape("plain é"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_line_escapes_line_breaks_and_terminal_escapes() {
        assert_eq!(OneLine("a\r\nb\u{1b}[0m\u{2028}c").to_string(), "a\\r\\nb\\u{1b}[0m\\u{2028}c");
    }
}
