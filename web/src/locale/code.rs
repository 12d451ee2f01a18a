//! Names of locales: `en`, `pt_BR`, `zh_Hant_TW`.

/// The name in one form: language in small letters, region in capitals, script with a capital, joined by underscores.
/// `None` if the text is no such name.
#[inline]
pub(super) fn normalize(name: &str) -> Option<String> {
    // A tag longer than this is none of a language (RFC 5646, section 4.4.1 counts 35).
    if name.len() > 64 {
        return None;
    }
    let mut code = String::with_capacity(name.len());
    for (at, part) in name.split(['-', '_']).enumerate() {
        let is_part = (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_part || (at == 0 && !part.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            return None;
        }
        if at > 0 {
            code.push('_');
        }
        match part.len() {
            2 if at > 0 => code.push_str(&part.to_ascii_uppercase()),
            4 if at > 0 => {
                code.push_str(&part[..1].to_ascii_uppercase());
                code.push_str(&part[1..].to_ascii_lowercase());
            }
            _ => code.push_str(&part.to_ascii_lowercase()),
        }
    }
    Some(code)
}

/// The name and those of which it is a special case, the nearest first: `zh_Hant_TW`, `zh_Hant`, `zh` (the "lookup" of RFC
/// 4647, section 3.4).
#[inline]
pub(super) fn candidates(code: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(code), |code| Some(code.rsplit_once('_')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (name, code) in [
            ("en", "en"),
            ("EN", "en"),
            ("en-gb", "en_GB"),
            ("pt_br", "pt_BR"),
            ("zh-hant-tw", "zh_Hant_TW"),
            ("es-419", "es_419"),
            ("de-1996", "de_1996"),
        ] {
            assert_eq!(normalize(name).as_deref(), Some(code));
        }
        for none in ["", "*", "en-", "-en", "en--gb", "1", "é", "en GB", "../etc", "waytoolongpart", "en/x"] {
            assert_eq!(normalize(none), None, "{none}");
        }
        assert_eq!(normalize(&("a-".repeat(31) + "a")).map(|code| code.len()), Some(63));
        assert_eq!(normalize(&("a-".repeat(32) + "a")), None);
    }

    #[test]
    fn the_nearest_comes_first() {
        assert_eq!(candidates("zh_Hant_TW").collect::<Vec<_>>(), ["zh_Hant_TW", "zh_Hant", "zh"]);
        assert_eq!(candidates("en").collect::<Vec<_>>(), ["en"]);
    }
}
