//! Text from outside, made fit for a line of a log.

use std::{
    fmt::{self, Write},
    str,
};

/// Displays something from outside on one line: the text of a panic, a header, the name of a file.
///
/// Escapes every character that could end the line, steer a terminal or change the order in which the rest is shown, and
/// leaves everything else as it is, a backslash included:
///
/// | what | example |
/// |---|---|
/// | line feed, carriage return, tab | `\n`, `\r`, `\t` |
/// | other ASCII control characters, DEL | `\x1b` |
/// | control characters beyond ASCII (C1) | `\u{85}` |
/// | line and paragraph separator, bidirectional controls | `\u{2028}`, `\u{202e}` |
/// | bytes that are not UTF-8 | `\xff` |
///
/// The result is for people to read. Two inputs may read the same: a backslash with an `n` behind it looks like an escaped
/// line feed. The length is not limited.
///
/// Costs nothing until it is displayed, and no allocation then.
///
/// # Examples
///
/// ```
/// use ioloop::Printable;
///
/// let name = "mallory\n2031-01-01 ERROR the disk is on fire";
/// assert_eq!(format!("no user {}", Printable::text(name)), r"no user mallory\n2031-01-01 ERROR the disk is on fire");
/// assert_eq!(Printable::bytes(b"caf\xe9 \x1b[2J").to_string(), r"caf\xe9 \x1b[2J");
/// assert_eq!(Printable::display(&format_args!("{:?} and {}", "a\n", "b\n")).to_string(), r#""a\n" and b\n"#);
/// ```
#[derive(Clone, Copy)]
pub struct Printable<'a>(What<'a>);

#[derive(Clone, Copy)]
enum What<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Display(&'a dyn fmt::Display),
}

impl<'a> Printable<'a> {
    /// Shows a text.
    pub const fn text(text: &'a str) -> Printable<'a> {
        Printable(What::Text(text))
    }

    /// Shows bytes as the UTF-8 text they are meant to be. A byte that is none is escaped by its number.
    pub const fn bytes(bytes: &'a [u8]) -> Printable<'a> {
        Printable(What::Bytes(bytes))
    }

    /// Shows what a value's `Display` writes, an error's for example.
    pub const fn display(value: &'a dyn fmt::Display) -> Printable<'a> {
        Printable(What::Display(value))
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            What::Text(text) => Escaping(f).write_str(text),
            What::Bytes(bytes) => write_bytes(f, bytes),
            What::Display(value) => write!(Escaping(f), "{value}"),
        }
    }
}

/// The same as `Display`.
impl fmt::Debug for Printable<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        Escaping(f).write_str(chunk.valid())?;
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Passes on what is written to it, escaped.
struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // Whole stretches at once: as good as always there is nothing to escape.
        while let Some((start, hazard)) = rest.char_indices().find(|(_, c)| is_hazard(*c)) {
            self.0.write_str(&rest[..start])?;
            escape(self.0, hazard)?;
            rest = &rest[start + hazard.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

fn escape(f: &mut fmt::Formatter<'_>, hazard: char) -> fmt::Result {
    match hazard {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        ascii if ascii.is_ascii() => write!(f, "\\x{:02x}", u32::from(ascii)),
        other => write!(f, "\\u{{{:x}}}", u32::from(other)),
    }
}

/// Whether a character must not be shown as it is: controls (C0, DEL, C1), the separators that some programs take for the
/// end of a line, and the bidirectional controls of Unicode, by which text can pose as another.
fn is_hazard(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Printable::text(text).to_string()
    }

    #[test]
    fn harmless_text_is_left_as_it_is() {
        for text in ["", "a plain line", "grüße, 世界 🙂", r"C:\temp\new", "\"quoted\" 'text'", "\u{301}\u{a0}"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn each_kind_of_hazard_is_escaped_in_its_form() {
        assert_eq!(shown("a\r\n\tb"), r"a\r\n\tb");
        assert_eq!(shown("\0\x1b[31m\x7f"), r"\x00\x1b[31m\x7f");
        assert_eq!(shown("\u{85}\u{9b}31m"), r"\u{85}\u{9b}31m");
        assert_eq!(shown("\u{2028}\u{2029}"), r"\u{2028}\u{2029}");
        assert_eq!(shown("\u{202e}txt.exe\u{2066}\u{200f}\u{61c}"), r"\u{202e}txt.exe\u{2066}\u{200f}\u{61c}");
    }

    #[test]
    fn bytes_are_shown_as_text_as_far_as_they_are_text() {
        assert_eq!(Printable::bytes("grüße\n".as_bytes()).to_string(), r"grüße\n");
        assert_eq!(Printable::bytes(b"\xff\xc3(\xe2\x80").to_string(), r"\xff\xc3(\xe2\x80");
    }

    #[test]
    fn what_a_display_writes_in_pieces_is_escaped() {
        let line = format_args!("{}{}", "a\n", Printable::bytes(b"\x80")).to_string();
        assert_eq!(line, "a\n\\x80");
        assert_eq!(Printable::display(&line).to_string(), r"a\n\x80");
        assert_eq!(format!("{:?}", Printable::text("\n")), r"\n");
    }

    fn is_one_line(text: &str) -> bool {
        !text.chars().any(is_hazard) && text.lines().count() <= 1
    }

    proptest! {
        #[test]
        fn nothing_shown_has_a_control_character_in_it(text: String, bytes: Vec<u8>) {
            for shown in [shown(&text), Printable::bytes(&bytes).to_string(), Printable::display(&text).to_string()] {
                prop_assert!(is_one_line(&shown), "{shown:?}");
            }
            prop_assert_eq!(Printable::bytes(text.as_bytes()).to_string(), Printable::display(&text).to_string());
        }

        #[test]
        fn nothing_shown_of_hazards_alone_is_one(text in "[\\x00-\\x1f\\x7f-\\u{9f}\\u{200e}-\\u{202e}\\u{2060}-\\u{206f}]{0,40}") {
            prop_assert!(is_one_line(&shown(&text)), "{:?}", shown(&text));
        }

        #[test]
        fn text_without_hazards_is_not_changed(text in "[^\\p{C}\\p{Zl}\\p{Zp}]{0,40}") {
            prop_assert_eq!(shown(&text), text);
        }
    }
}
