/// Returns `next` if it leads to a page of this site whatever a browser makes of it, and `None` otherwise.
///
/// A login page is told by an argument where to go on. Anybody can make a link to the login page, and one that leads through it
/// to a page of their own which looks the same. So `next` has to be a path: it begins with one slash, not with two and not
/// with a slash and a backslash, which browsers take for a host, and it has no control characters, which browsers leave out
/// before they look. It may have a query and a fragment.
///
/// # Examples
///
/// ```
/// use web::{Exchange, security::safe_next};
///
/// async fn signed_in(exchange: &mut Exchange) -> web::Result<()> {
///     let next: Option<String> = exchange.argument_opt("next").await?;
///     exchange.redirect(next.as_deref().and_then(safe_next).unwrap_or("/"))
/// }
///
/// assert_eq!(safe_next("/cart?item=7"), Some("/cart?item=7"));
/// assert_eq!(safe_next("//evil.example"), None);
/// assert_eq!(safe_next("/\\evil.example"), None);
/// assert_eq!(safe_next("https://evil.example/"), None);
/// ```
#[inline]
pub fn safe_next(next: &str) -> Option<&str> {
    let is_safe = next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && !next.chars().any(|character| character.is_control());
    is_safe.then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn paths_of_the_site_are_taken_as_they_are() {
        for next in [
            "/",
            "/a",
            "/a/b?c=d&e=//f#g",
            "/a//b",
            "/%2f%2fevil.net",
            "/é",
            "/a b",
            "/?next=https://evil.net",
            "/a\\b",
        ] {
            assert_eq!(safe_next(next), Some(next));
        }
    }

    #[test]
    fn whatever_else_is_not() {
        for next in [
            "",
            "a",
            "?a",
            "#a",
            "./a",
            "//evil.net",
            "///evil.net",
            "/\\evil.net",
            "\\\\evil.net",
            "/\t/evil.net",
            "/\r\n/evil.net",
            "\t//evil.net",
            " /a",
            "/a\0",
            "/a\u{85}",
            "https://evil.net",
            "https:/evil.net",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert_eq!(safe_next(next), None, "{next:?}");
        }
    }

    proptest! {
        /// As browsers resolve what stands in a `Location`.
        #[test]
        fn what_is_taken_stays_on_the_site(next in "[/\\\\]{0,3}[\\t\\n\\r ]{0,2}[/\\\\.:@?#]{0,3}(evil\\.net|[a-z]{0,5}:)?\\PC{0,5}") {
            let here = Url::parse("https://here.example:8443/login").unwrap();
            if let Some(next) = safe_next(&next) {
                let there = here.join(next).unwrap();
                prop_assert_eq!(there.origin(), here.origin(), "{}", there);
            }
        }

        #[test]
        fn any_text_can_be_given(next: String) {
            let here = Url::parse("http://here.example/").unwrap();
            for next in [next.clone(), format!("/{next}")] {
                if let Some(next) = safe_next(&next) {
                    prop_assert_eq!(here.join(next).unwrap().origin(), here.origin());
                }
            }
        }
    }
}
