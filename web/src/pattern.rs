//! The patterns of routes: their parameters, and the mistakes that keep one from ever matching.

use std::fmt::Write;

/// The pattern of a route.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    names: Vec<String>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong and what to write instead. Braces that do not belong together are left to the
    /// router's tree to find.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        if !text.starts_with('/') {
            return Err("does not begin with a slash".to_owned());
        }
        check_foreign_parameters(text)?;
        check_literals(text)?;
        let mut names: Vec<String> = Vec::new();
        for name in parts(text).filter_map(Part::name) {
            if names.iter().any(|known| known == name) {
                return Err(format!("has two parameters named {name:?}"));
            }
            names.push(name.to_owned());
        }
        Ok(Pattern { text: text.to_owned(), names })
    }

    /// One that is a regular expression, with groups of these names.
    #[cfg(feature = "regex")]
    #[inline]
    pub(crate) fn of_regex(text: &str, names: Vec<String>) -> Pattern {
        Pattern { text: text.to_owned(), names }
    }

    /// The pattern as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

/// A piece of a pattern.
pub(crate) enum Part<'p> {
    /// Text that a path has as it is, but for doubled braces.
    Literal(&'p str),
    /// A parameter with its braces.
    Parameter(&'p str),
}

impl<'p> Part<'p> {
    fn name(self) -> Option<&'p str> {
        match self {
            Part::Literal(_) => None,
            Part::Parameter(text) => Some(text.trim_matches(['{', '}']).trim_start_matches('*')),
        }
    }
}

/// The pieces of a pattern, from left to right. Together they are the pattern.
pub(crate) fn parts(pattern: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        let (part, behind) = first_part(rest)?;
        rest = behind;
        Some(part)
    })
}

fn first_part(pattern: &str) -> Option<(Part<'_>, &str)> {
    let mut at = 0;
    while let Some(open) = pattern[at..].find('{').map(|found| at + found) {
        if pattern[open..].starts_with("{{") {
            at = open + 2;
            continue;
        }
        let Some(length) = pattern[open..].find('}') else { break };
        return Some(match open {
            0 => (Part::Parameter(&pattern[..=length]), &pattern[length + 1..]),
            _ => (Part::Literal(&pattern[..open]), &pattern[open..]),
        });
    }
    (!pattern.is_empty()).then_some((Part::Literal(pattern), ""))
}

/// A literal as a path has it, with its doubled braces single.
pub(crate) fn unescaped(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len());
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        text.push(c);
        if matches!(c, '{' | '}') && rest.as_str().starts_with(c) {
            rest.next();
        }
    }
    text
}

/// Refuses `:id`, `*path` and `<id>`, by which other frameworks mean parameters. As literal text they would match nothing
/// that a client asks for.
fn check_foreign_parameters(pattern: &str) -> Result<(), String> {
    let is_foreign = pattern.split('/').any(|segment| own_parameter(segment).is_some());
    if !is_foreign {
        return Ok(());
    }
    let mut own = String::new();
    for (at, segment) in pattern.split('/').enumerate() {
        if at > 0 {
            own.push('/');
        }
        own.push_str(&own_parameter(segment).unwrap_or_else(|| segment.to_owned()));
    }
    Err(format!("writes its parameters as other frameworks do; write {own:?}"))
}

/// What is written here for a parameter in the style of another framework.
fn own_parameter(segment: &str) -> Option<String> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some(name) = segment.strip_prefix(':') {
        return is_name(name).then(|| format!("{{{name}}}"));
    }
    if let Some(name) = segment.strip_prefix('*') {
        let name = if name.is_empty() { "path" } else { name };
        return is_name(name).then(|| format!("{{*{name}}}"));
    }
    let inner = segment.strip_prefix('<')?.strip_suffix('>')?;
    // With the type before it, as in `<int:id>`.
    let name = inner.rsplit(':').next().unwrap_or(inner);
    is_name(name).then(|| format!("{{{name}}}"))
}

/// Refuses literal text that no request has in its path: paths are compared as they were sent, and there such characters
/// are percent-encoded, or end the path.
fn check_literals(pattern: &str) -> Result<(), String> {
    for part in parts(pattern) {
        let Part::Literal(text) = part else { continue };
        for (at, c) in text.char_indices() {
            match c {
                '?' => {
                    return Err("can never match: a question mark ends the path, and what follows it is read with \
                         `Exchange::query`; write `%3F` for the character itself"
                        .to_owned());
                }
                '#' => {
                    return Err("can never match: clients do not send a `#` and what follows it; write `%23` for the \
                         character itself"
                        .to_owned());
                }
                '%' if is_escape(&text[at..]) => {}
                '%' => return Err(unsendable(c, pattern)),
                c if is_sent(c) => {}
                c => return Err(unsendable(c, pattern)),
            }
        }
    }
    Ok(())
}

fn unsendable(c: char, pattern: &str) -> String {
    format!("can never match: no client sends {c:?} in a path as it is; write {:?}", encoded(pattern))
}

/// The pattern with everything encoded that a client would encode.
fn encoded(pattern: &str) -> String {
    let mut encoded = String::with_capacity(pattern.len() + 8);
    for part in parts(pattern) {
        match part {
            Part::Parameter(text) => encoded.push_str(text),
            Part::Literal(text) => encode_into(&mut encoded, text),
        }
    }
    encoded
}

fn encode_into(encoded: &mut String, text: &str) {
    for (at, c) in text.char_indices() {
        if is_sent(c) || is_escape(&text[at..]) {
            encoded.push(c);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            // A String takes whatever is written to it.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// Whether `text` begins with a percent escape.
fn is_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Whether a path may hold the character as it is: those of RFC 3986, and those that browsers do not encode. The layer
/// below refuses all others, as a URL does.
fn is_sent(c: char) -> bool {
    // Bytes: a search for a `char` builds the whole search for text.
    c.is_ascii_alphanumeric() || u8::try_from(c).is_ok_and(|byte| b"-._~!$&'()*+;=,:@/[]{}|^`".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pattern: &str) -> String {
        Pattern::parse(pattern).map(drop).expect_err(pattern)
    }

    #[test]
    fn names_are_found_in_order_and_braces_can_be_literal() {
        let names = |pattern: &str| Pattern::parse(pattern).expect(pattern).names().to_vec();
        assert_eq!(names("/{{x}}/{y}.png/{*z}"), ["y", "z"]);
        assert_eq!(names("/{a}{{b}}"), ["a"]);
        assert!(names("/plain").is_empty());
        assert!(names("/{").is_empty());
        assert!(names("/{{").is_empty());
    }

    #[test]
    fn characters_that_no_client_sends_are_refused_with_what_to_write() {
        for (pattern, instead) in [
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a b/{id}", "/a%20b/{id}"),
            ("/100%", "/100%25"),
            ("/%4x", "/%254x"),
            ("/a\\b", "/a%5Cb"),
            ("/<b>\"", "/%3Cb%3E%22"),
            ("/\u{4f60}/{\u{e9}}", "/%E4%BD%A0/{\u{e9}}"),
            ("/\n", "/%0A"),
        ] {
            let refusal = refusal(pattern);
            assert!(
                refusal.contains("can never match") && refusal.ends_with(&format!("write {instead:?}")),
                "{refusal}"
            );
            assert!(Pattern::parse(instead).is_ok(), "{instead}");
        }
    }

    #[test]
    fn query_and_fragment_are_no_part_of_a_path() {
        for (pattern, hint) in [("/what?", "`Exchange::query`"), ("/{a}?b={c}", "%3F"), ("/x#y", "%23")] {
            let refusal = refusal(pattern);
            assert!(refusal.contains("can never match") && refusal.contains(hint), "{refusal}");
        }
    }

    #[test]
    fn parameters_of_other_frameworks_are_refused_with_what_to_write() {
        for (pattern, instead) in [
            ("/:id", "/{id}"),
            ("/user/:user_id/file/*path", "/user/{user_id}/file/{*path}"),
            ("/files/*", "/files/{*path}"),
            ("/user/<int:id>", "/user/{id}"),
            ("/user/<id>/x", "/user/{id}/x"),
        ] {
            let refusal = refusal(pattern);
            assert!(refusal.ends_with(&format!("write {instead:?}")), "{refusal}");
        }
    }

    #[test]
    fn a_parameter_has_one_place() {
        assert!(refusal("/{a}/{b}/{a}").contains("two parameters named \"a\""));
    }

    #[test]
    fn what_a_client_can_send_is_accepted() {
        for pattern in [
            "/",
            "//",
            "/a.b-c_d~e",
            "/%C3%A9",
            "/%2f",
            "/a:b",
            "/:",
            "/a*",
            "/2*3",
            "/a@b,c;d=e&f!$'()+[]|^`",
            "/{x}:y",
        ] {
            assert!(Pattern::parse(pattern).is_ok(), "{pattern}");
        }
    }
}
