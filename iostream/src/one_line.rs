use std::fmt::{self, Write};

/// A text for a log line: what would break the line, or drive a terminal, is escaped. Errors may carry a peer's bytes.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            // The separators of lines and paragraphs are no control characters to Unicode.
            '\u{2028}' | '\u{2029}' => write!(self.0, "{}", char.escape_default()),
            char if char.is_control() => write!(self.0, "{}", char.escape_default()),
            char => self.0.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_the_line() {
        let text = OneLine("it's\r\nGET \u{1b}[31m é \u{2028}\0").to_string();
        assert_eq!(text, "it's\\r\\nGET \\u{1b}[31m é \\u{2028}\\u{0}");
    }
}
