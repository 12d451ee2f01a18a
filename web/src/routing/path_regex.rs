//! Patterns that are regular expressions.

use percent_encoding::percent_decode_str;
use regex::bytes::{Captures, Regex, RegexBuilder};
use regex_syntax::{ParserBuilder, hir::literal::Extractor};

use super::build_path;
use crate::pattern::{Part, parts, unescaped};

/// A regular expression that has to match a path as a whole.
///
/// Over bytes, and without Unicode: a path is ASCII, and so are the classes `\d` and `\w` then.
#[derive(Clone, Debug)]
pub(crate) struct PathRegex {
    text: String,
    regex: Regex,
}

impl PathRegex {
    /// Reads a regular expression.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    #[inline]
    pub(crate) fn parse(text: &str) -> Result<PathRegex, String> {
        // Not `^` and `$`, whose meaning a flag in the expression can change.
        let regex = RegexBuilder::new(&format!(r"\A(?:{text})\z")).unicode(false).build();
        let regex = regex.map_err(|error| format!("is no regular expression: {error}"))?;
        Ok(PathRegex { text: text.to_owned(), regex })
    }

    /// The same below the prefix of a nested application.
    #[inline]
    pub(crate) fn below(prefix: &str, text: &str) -> String {
        if prefix.is_empty() {
            return text.to_owned();
        }
        let mut whole = String::new();
        for part in parts(prefix) {
            match part {
                Part::Literal(text) => whole.push_str(&regex::escape(&unescaped(text))),
                Part::Parameter(text) => whole.push_str(&format!("(?<{}>[^/]+)", text.trim_matches(['{', '}']))),
            }
        }
        if text.contains('|') { format!("{whole}(?:{text})") } else { whole + text }
    }

    /// The pattern that leaves as much open: the segments of text that every match begins with, and `{*rest}` for what is left.
    #[inline]
    pub(crate) fn pattern_alike(text: &str) -> String {
        let mut pattern = String::new();
        let expression = ParserBuilder::new().unicode(false).utf8(false).build().parse(&format!("(?:{text})"));
        let beginnings = expression.map(|expression| Extractor::new().extract(&expression));
        if let Ok(beginnings) = &beginnings {
            let common = beginnings.longest_common_prefix().and_then(|text| std::str::from_utf8(text).ok());
            common.unwrap_or_default().chars().for_each(|c| push_literal(&mut pattern, c));
            if beginnings.is_exact() && beginnings.len() == Some(1) {
                return pattern;
            }
        }
        pattern.truncate(pattern.rfind('/').unwrap_or(0));
        pattern + "/{*rest}"
    }

    #[inline]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names of the groups that have one, in order.
    #[inline]
    pub(crate) fn names(&self) -> Vec<String> {
        self.regex.capture_names().flatten().map(str::to_owned).collect()
    }

    /// What the named groups have matched, in order: nothing for those that took no part.
    #[inline]
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let captures = self.regex.captures(path.as_bytes())?;
        Some(self.named(&captures, path))
    }

    #[inline]
    fn named<'p>(&self, captures: &Captures<'_>, path: &'p str) -> Vec<&'p str> {
        let names = self.regex.capture_names().enumerate().filter(|(_, name)| name.is_some());
        // Between characters: what is not ASCII is encoded in a path.
        let text = |at: usize| captures.get(at).and_then(|group| path.get(group.range())).unwrap_or_default();
        names.map(|(at, _)| text(at)).collect()
    }

    /// A pattern with the same parameters for the URLs of this expression, if it is nothing but literal text and groups.
    #[inline]
    pub(crate) fn template(&self) -> Option<String> {
        let mut template = String::new();
        let mut rest = self.text.strip_prefix('^').unwrap_or(&self.text);
        rest = rest.strip_suffix('$').filter(|rest| !rest.ends_with('\\')).unwrap_or(rest);
        while let Some(c) = rest.chars().next() {
            let mut behind = &rest[c.len_utf8()..];
            match c {
                '(' => {
                    let group = behind.strip_prefix("?P<").or_else(|| behind.strip_prefix("?<"))?;
                    let (name, inner) = group.split_once('>')?;
                    behind = &inner[simple_group_len(inner)?..];
                    template.push_str(&format!("{{{name}}}"));
                }
                '\\' => {
                    let escaped = behind.chars().next().filter(char::is_ascii_punctuation)?;
                    push_literal(&mut template, escaped);
                    behind = &behind[1..];
                }
                '[' | ']' | ')' | '{' | '}' | '.' | '*' | '+' | '?' | '|' | '^' | '$' => return None,
                literal => push_literal(&mut template, literal),
            }
            rest = behind;
        }
        Some(template)
    }

    /// The path that matches with these values for its groups.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong with the values.
    #[inline]
    pub(crate) fn build_path(&self, template: &str, values: &[String]) -> Result<String, &'static str> {
        // A group may take in slashes or not; only the expression knows.
        let path = build_path(template, values)?;
        if self.leads_back(&path, values) {
            return Ok(path);
        }
        let path = build_path(&template.replace('{', "{*").replace("{*{*", "{{"), values)?;
        let leads_back = self.leads_back(&path, values) && !path.starts_with("//");
        leads_back.then_some(path).ok_or("the regular expression does not match with these values")
    }

    #[inline]
    fn leads_back(&self, path: &str, values: &[String]) -> bool {
        let found = self.find(path).unwrap_or_default();
        let is_same = |(found, value): (&&str, &String)| percent_decode_str(found).eq(value.bytes());
        found.len() == values.len() && found.iter().zip(values).all(is_same)
    }
}

/// The length of what is in a group with its parenthesis, if there is no other group in it.
#[inline]
fn simple_group_len(inner: &str) -> Option<usize> {
    let (mut escaped, mut in_class) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => return None,
            ')' if !in_class => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[inline]
fn push_literal(template: &mut String, c: char) {
    template.push(c);
    if matches!(c, '{' | '}') {
        template.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> PathRegex {
        PathRegex::parse(text).expect(text)
    }

    #[test]
    fn a_path_is_matched_as_a_whole() {
        for (text, path, found) in [
            (r"/a/(?<n>\d+)", "/a/17", Some(vec!["17"])),
            (r"/a/(?<n>\d+)", "/a/17/", None),
            (r"/a/(?<n>\d+)", "/x/a/17", None),
            (r"/a|/b", "/b", Some(vec![])),
            (r"/a|/b", "/bc", None),
            (r"(?m)^/a$", "/a\n/b", None),
            (r"/(?P<x>a)?(b)(?<y>c*)", "/b", Some(vec!["", ""])),
            (r"/(?i)(?<x>abc)", "/aBC", Some(vec!["aBC"])),
        ] {
            assert_eq!(regex(text).find(path), found, "{text} {path}");
        }
        assert!(PathRegex::parse("/(").unwrap_err().contains("is no regular expression"));
    }

    #[test]
    fn a_prefix_is_literal_text_with_its_parameters() {
        let below = regex(&PathRegex::below("/a.b/{t}", r"/(?<n>\d+)|/x"));
        assert_eq!(below.find("/a.b/acme/7"), Some(vec!["acme", "7"]));
        assert_eq!(below.find("/a.b/acme/x"), Some(vec!["acme", ""]));
        assert_eq!(below.find("/axb/acme/7"), None);
        assert_eq!(below.find("/x"), None);
    }

    #[test]
    fn an_expression_is_as_exact_as_the_segments_that_all_its_matches_begin_with() {
        for (text, pattern) in [
            (r"/a/b\.c", "/a/b.c"),
            (r"^/a/b$", "/a/b"),
            (r"/a/\{b\}", "/a/{{b}}"),
            (r"/archive/(?<year>\d{4})/x", "/archive/{*rest}"),
            (r"/archive-(?<year>\d{4})", "/{*rest}"),
            (r"/api(?:/.*)?", "/{*rest}"),
            (r"/api/?", "/{*rest}"),
            (r"/api/v1|/api/v2/.*", "/api/{*rest}"),
            (r"/a(?:/b/x|/b/y)", "/a/b/{*rest}"),
            (r"/api/x|/b", "/{*rest}"),
            (r"(?i)/api/x", "/{*rest}"),
            (r"/a/(?i)b/x", "/a/{*rest}"),
            (r"/a/[^/]+/b", "/a/{*rest}"),
            (r".*", "/{*rest}"),
            (r"", ""),
        ] {
            assert_eq!(PathRegex::pattern_alike(text), pattern, "{text}");
        }
    }

    #[test]
    fn literal_text_and_simple_groups_can_be_turned_around() {
        for (text, template) in [
            (r"/archive/(?<year>\d{4})/(?P<slug>[a-z()-]+)\.html", Some("/archive/{year}/{slug}.html")),
            (r"^/a$", Some("/a")),
            (r"/\{x\}", Some("/{{x}}")),
            (r"/a(?<x>b\)c)", Some("/a{x}")),
            (r"/a/?", None),
            (r"/(\d+)", None),
            (r"/(?:a|b)", None),
            (r"/(?<x>a(b))", None),
            (r"/(?<x>a)+", None),
            (r"/\d", None),
            (r"/a|/b", None),
            (r"/[ab]", None),
            (r"/a.b", None),
        ] {
            assert_eq!(regex(text).template().as_deref(), template, "{text}");
        }
    }

    #[test]
    fn urls_match_with_the_same_values() {
        let build = |text: &str, values: &[&str]| {
            let regex = regex(text);
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            regex.build_path(&regex.template().expect(text), &values)
        };
        assert_eq!(build(r"/a/(?<n>\d+)", &["17"]).as_deref(), Ok("/a/17"));
        assert_eq!(build(r"/(?<name>.+)\.txt", &["a b/c"]).as_deref(), Ok("/a%20b%2Fc.txt"));
        assert_eq!(build(r"/f/(?<path>[a-z/]+)", &["a/b"]).as_deref(), Ok("/f/a/b"));
        assert_eq!(
            build(r"/(?<path>[a-z./]+)", &["/evil.example"]),
            Err("the regular expression does not match with these values")
        );
        for values in [&["x"][..], &["1x"], &["1\n"]] {
            assert!(build(r"/a/(?<n>\d+)", values).unwrap_err().contains("does not match"), "{values:?}");
        }
        assert!(build(r"/a/(?<n>\d+)", &[]).unwrap_err().contains("more parameters"));
    }
}
