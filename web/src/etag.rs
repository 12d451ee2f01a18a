//! Entity tags and what a client already has.

/// Whether the header `If-None-Match` names `etag`: one of its tags is the same, weak or not, or it is `*`.
pub(crate) fn none_match_names(header: &str, etag: &str) -> bool {
    let mut rest = header.trim();
    if rest == "*" {
        return true;
    }
    // Tags are quoted and may hold commas, so the list is walked from quote to quote.
    while let Some(open) = rest.find('"') {
        let Some(length) = rest[open + 1..].find('"') else {
            return false;
        };
        let end = open + length + 2;
        if rest[open..end] == *etag.trim_start_matches("W/") {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::none_match_names;

    #[test]
    fn tags_are_compared_weakly() {
        for header in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "\"x,y\",W/\"a\" ", "*", " * "] {
            assert!(none_match_names(header, "\"a\""), "{header}");
        }
    }

    #[test]
    fn other_tags_and_nonsense_do_not_match() {
        for header in ["", "a", "\"a", "\"A\"", "\"x\", \"y\"", "\"x\"a\"", "\"*\""] {
            assert!(!none_match_names(header, "\"a\""), "{header}");
        }
    }
}
