//! `Accept-Encoding`: which coding of a representation a client takes (RFC 9110, section 12.5.3).

/// A coding that answers may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    #[cfg(any(test, feature = "static"))]
    Brotli,
    #[cfg(any(test, feature = "static"))]
    Zstd,
    Gzip,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    #[inline]
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(any(test, feature = "static"))]
            Coding::Brotli => "br",
            #[cfg(any(test, feature = "static"))]
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// Whether a member of the list means it. `x-gzip` is an old name of gzip (section 8.4.1.3).
    #[inline]
    fn is_called(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// Those of `available` that the client takes, the best first: by the client's weights, and by their order here where these
/// are equal. What it would rather have uncoded is left out, and so is everything where it has said nothing: then a coding
/// is allowed, but clients that cannot decode are those that say nothing.
#[inline]
pub(crate) fn accepted<'h>(lines: impl Iterator<Item = &'h [u8]>, available: &[Coding]) -> Vec<Coding> {
    let members: Vec<(&[u8], u16)> =
        lines.flat_map(|line| line.split(|&byte| byte == b',')).filter_map(member).collect();
    let weight_of = |is_it: &dyn Fn(&[u8]) -> bool| {
        let named = members.iter().rev().find(|(name, _)| is_it(name));
        named.or_else(|| members.iter().rev().find(|(name, _)| *name == b"*")).map_or(0, |(_, weight)| *weight)
    };
    // One that is not mentioned is the last choice, but a choice.
    let identity = weight_of(&|name| name.eq_ignore_ascii_case(b"identity"));
    let mut found: Vec<(u16, Coding)> = available
        .iter()
        .map(|&coding| (weight_of(&|name| coding.is_called(name)), coding))
        .filter(|&(weight, _)| weight > 0 && weight >= identity)
        .collect();
    found.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
    found.into_iter().map(|(_, coding)| coding).collect()
}

/// A name and its weight in thousandths; `None` for what is no member.
#[inline]
fn member(text: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| !name.is_empty())?;
    match (parts.next(), parts.next()) {
        (None, _) => Some((name, 1000)),
        (Some([b'q' | b'Q', b'=', value @ ..]), None) => Some((name, weight(value)?)),
        _ => None,
    }
}

/// A `qvalue` in thousandths (section 12.4.2).
#[inline]
fn weight(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(0, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| u16::from(digit - b'0')));
    let weight = u16::from(whole - b'0') * 1000 + thousandths;
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    fn names(line: &str) -> Vec<&'static str> {
        accepted([line.as_bytes()].into_iter(), &ALL).into_iter().map(Coding::name).collect()
    }

    #[test]
    fn weights_decide_and_the_order_is_the_servers() {
        assert_eq!(names("gzip, deflate, br, zstd"), ["br", "zstd", "gzip"]);
        assert_eq!(names("gzip;q=1.0, br;q=0.5"), ["gzip", "br"]);
        assert_eq!(names("GZIP ; Q=0.1"), ["gzip"]);
        assert_eq!(names("x-gzip"), ["gzip"]);
        assert_eq!(names("br;q=0, *"), ["zstd", "gzip"]);
        assert_eq!(names("*;q=0, gzip;q=0.001"), ["gzip"]);
        assert_eq!(names("*"), ["br", "zstd", "gzip"]);
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent() {
        for line in ["", "identity", "deflate", "gzip;q=0", "gzip;q=0.000", "*;q=0", "gzipped", "gzip;q=0.5, identity"]
        {
            assert_eq!(names(line), [""; 0], "{line}");
        }
        assert_eq!(accepted([].into_iter(), &ALL), []);
        // Nothing else is left for a client that refuses identity.
        assert_eq!(names("identity;q=0, gzip;q=0.2"), ["gzip"]);
        assert_eq!(names("gzip;q=0.5, identity;q=0.5"), ["gzip"]);
        // A star is every coding that is not named, identity too.
        assert_eq!(names("gzip;q=0.2, *;q=0.7"), ["br", "zstd"]);
    }

    #[test]
    fn a_member_that_is_none_counts_for_nothing() {
        for member in
            ["gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=", "gzip;level=9", "gzip;q=1;a"]
        {
            assert_eq!(names(member), [""; 0], "{member}");
            assert_eq!(names(&format!("{member}, br")), ["br"], "{member}");
        }
    }

    /// What a client means.
    type Wish = Vec<(&'static str, Option<u16>)>;

    fn weight_in(wish: &Wish, name: &str) -> Option<u16> {
        wish.iter().rev().find(|(known, _)| *known == name).map(|(_, weight)| weight.unwrap_or(1000))
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_the_standard(
            wish in vec((select(vec!["gzip", "br", "zstd", "identity", "*", "deflate"]), proptest::option::of(0u16..=1000)), 0..6),
        ) {
            let members: Vec<String> = wish
                .iter()
                .map(|(name, weight)| match weight {
                    None => (*name).to_owned(),
                    Some(weight) => format!("{name};q={}.{:03}", weight / 1000, weight % 1000),
                })
                .collect();
            let chosen = names(&members.join(", "));
            let weight = |name: &str| weight_in(&wish, name).or_else(|| weight_in(&wish, "*")).unwrap_or(0);
            for name in ["br", "zstd", "gzip"] {
                let is_wanted = weight(name) > 0 && weight(name) >= weight("identity");
                prop_assert_eq!(chosen.contains(&name), is_wanted, "{:?}", members);
            }
            prop_assert!(chosen.windows(2).all(|pair| weight(pair[0]) >= weight(pair[1])));
        }

        #[test]
        fn any_line_is_read(line: Vec<u8>) {
            let _ = accepted([&line[..]].into_iter(), &ALL);
        }
    }
}
