//! Texts with gaps, as Tornado's catalogues have them.

use std::fmt::{Display, Write};

/// Fills in the `%(name)s` and `%(name)d` of a text, Python's way, in which Tornado's catalogues are written. `%%` is one `%`.
/// A gap whose name is not among the values stays as it is.
///
/// Fill in after translating, so that the catalogue has one text for all values.
///
/// # Examples
///
/// ```
/// use web::locale::fill;
///
/// assert_eq!(fill("%(name)s has %(count)d (100%%)", &[("name", &"Ada"), ("count", &3)]), "Ada has 3 (100%)");
/// ```
#[inline]
pub fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (gap, behind) = gap(rest);
        match gap {
            Gap::Percent => filled.push('%'),
            Gap::Name(name) => match values.iter().find(|(known, _)| *known == name) {
                // Writing to a string fails only if the value does, and then there is nothing better to do.
                Some((_, value)) => drop(write!(filled, "{value}")),
                None => filled.push_str(&rest[..rest.len() - behind.len()]),
            },
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

enum Gap<'t> {
    Percent,
    Name(&'t str),
}

/// What begins with the `%` at the beginning of the text, and what is behind it.
#[inline]
fn gap(text: &str) -> (Gap<'_>, &str) {
    let behind = &text[1..];
    if let Some(behind) = behind.strip_prefix('%') {
        return (Gap::Percent, behind);
    }
    let named = behind.strip_prefix('(').and_then(|inner| inner.split_once(')'));
    match named {
        Some((name, behind)) if behind.starts_with(['s', 'd']) => (Gap::Name(name), &behind[1..]),
        _ => (Gap::Percent, behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_everything_else_stays() {
        let values: &[(&str, &dyn Display)] = &[("a", &"%(b)s"), ("b", &2)];
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("%(a)s %(b)d %(a)s", "%(b)s 2 %(b)s"),
            ("%(c)s", "%(c)s"),
            ("100 %", "100 %"),
            ("100%% %(b)s%", "100% 2%"),
            ("%(b", "%(b"),
            ("%(b)", "%(b)"),
            ("%(b)x", "%(b)x"),
            ("%é%(b)s", "%é2"),
            ("%(é)s", "%(é)s"),
        ] {
            assert_eq!(fill(text, values), filled, "{text}");
        }
    }
}
