//! What a browser says about languages: `Accept-Language: de-CH, de;q=0.9, *;q=0.1` (RFC 9110, section 12.5.4).

/// The languages, the most wanted first; of equal ones the first. What is refused (`q=0`) or malformed is left out.
#[inline]
pub(super) fn wanted<'h>(lines: impl Iterator<Item = &'h str>) -> Vec<&'h str> {
    let mut wanted: Vec<(&str, u16)> = lines.flat_map(|line| line.split(',')).filter_map(weighted).take(MOST).collect();
    wanted.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    wanted.into_iter().map(|(language, _)| language).collect()
}

/// Nobody reads more languages than this.
const MOST: usize = 64;

/// A language and its weight in thousandths. `None` without a positive one.
#[inline]
fn weighted(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let language = parts.next().filter(|language| !language.is_empty())?;
    // Other parameters than the weight are not defined, and say nothing.
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
    });
    let weight = weight.unwrap_or(Some(1000))?;
    (weight > 0).then_some((language, weight))
}

/// `qvalue` of RFC 9110, section 12.4.2: from 0 to 1, with at most three digits behind the point. More digits are overlooked.
#[inline]
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if whole == "1" {
        return fraction.bytes().all(|byte| byte == b'0').then_some(1000);
    }
    let digits = fraction.bytes().map(|byte| u16::from(byte - b'0')).chain(std::iter::repeat(0)).take(3);
    Some(digits.fold(0, |sum, digit| sum * 10 + digit))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;

    fn languages(line: &str) -> String {
        wanted([line].into_iter()).join(" ")
    }

    #[test]
    fn the_most_wanted_comes_first() {
        assert_eq!(languages("en, de;q=0.9, fr;q=0.95"), "en fr de");
        assert_eq!(languages("a;q=0.5,b;q=0.5,c"), "c a b");
        assert_eq!(languages("de-CH , de ; q = 0.9"), "de-CH de");
        assert_eq!(wanted(["en;q=0.1", "de"].into_iter()), ["de", "en"]);
        assert_eq!(languages("a;q=0.1234,b;q=0.1239,c;q=1.000"), "c a b");
    }

    /// `AcceptLanguageTest` of Tornado, and what else is no weight.
    #[test]
    fn what_is_refused_or_malformed_is_left_out() {
        assert_eq!(languages("de;q=0, en"), "en");
        assert_eq!(languages("fr-CA;q=foo,fr;q=0.9"), "fr");
        assert_eq!(languages("fr-CA;q=-1,fr;q=0.9"), "fr");
        for none in [
            "",
            ",",
            ";",
            ";q=1",
            "a;q=",
            "a;q=0.0",
            "a;q=0.000",
            "a;q=1e3",
            "a;q=nan",
            "a;q=2",
            "a;q=1.5",
            "a;q=1.001",
            "a;q=.5",
            "a;q=0.x",
        ] {
            assert_eq!(languages(none), "", "{none}");
        }
    }

    proptest! {
        /// Over what the client meant instead of what it sent.
        #[test]
        fn the_order_is_that_of_the_weights(
            wish in vec((select(vec!["a", "b-c", "de", "*"]), option::of(0u16..2000)), 0..8),
        ) {
            let members = wish.iter().map(|(language, weight)| match weight {
                None => (*language).to_owned(),
                Some(weight) => format!("{language};q={}.{:03}", weight / 1000, weight % 1000),
            });
            let line = members.collect::<Vec<_>>().join(", ");
            let mut expected: Vec<(u16, &str)> =
                wish.iter().map(|(language, weight)| (weight.unwrap_or(1000), *language)).collect();
            expected.retain(|(weight, _)| (1..=1000).contains(weight));
            expected.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
            let expected: Vec<&str> = expected.into_iter().map(|(_, language)| language).collect();
            prop_assert_eq!(wanted([line.as_str()].into_iter()), expected, "{}", line);
        }
    }

    #[test]
    fn a_list_without_end_is_cut() {
        assert_eq!(wanted(["a,".repeat(20_000).as_str()].into_iter()).len(), MOST);
    }
}
