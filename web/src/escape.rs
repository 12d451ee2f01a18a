//! Text from outside, made safe for a page. For a log see [`Printable`](crate::Printable).

use std::borrow::Cow;

/// Escapes `&`, `<`, `>`, `"` and `'` so that `text` can stand in HTML, as content or in a quoted attribute.
///
/// Everything that came from a client needs it before it is [written](crate::Exchange::write) as HTML; plain text goes
/// through [`write_text`](crate::Exchange::write_text) instead. Returns the text as it is, borrowed, if there is nothing to
/// escape.
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
}
