//! Names of files that clients send.

/// The longest name that Linux takes, in bytes.
const MOST: usize = 255;

/// Makes a name that a file can have of one that a client has sent, such as that of an uploaded file; `None` when nothing of
/// it is left.
///
/// A name from a client is data and may hold anything. What is returned is one component of a path, which is not hidden, on
/// this system and on Windows:
///
/// * what stands behind the last `/` or `\` of the name;
/// * without control characters, without characters that turn the direction of text, and without `< > : " | ? *`;
/// * without dots and spaces at its beginning and at its end, so neither `..` nor `.bashrc`;
/// * a name of a device of Windows, such as `CON` or `nul.txt`, gets an underscore in front;
/// * at most 255 bytes, with its extension kept.
///
/// It is not unique: two clients send the same one. Prefer names of your own for files, and keep this one for
/// `Content-Disposition` or for a page, where it has to be escaped all the same. It says nothing about the content either: a
/// `.png` may hold HTML.
///
/// # Examples
///
/// ```
/// use web::safe_file_name;
///
/// assert_eq!(safe_file_name("holidays 2026.jpg").as_deref(), Some("holidays 2026.jpg"));
/// assert_eq!(safe_file_name("../../etc/passwd").as_deref(), Some("passwd"));
/// assert_eq!(safe_file_name(r"C:\photos\sea.jpg").as_deref(), Some("sea.jpg"));
/// assert_eq!(safe_file_name(".."), None);
/// ```
#[must_use]
#[inline]
pub fn safe_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let allowed: String = last.chars().filter(|&c| is_allowed(c)).collect();
    let trimmed = allowed.trim_matches(is_edge);
    let mut name = if is_device(trimmed) { format!("_{trimmed}") } else { trimmed.to_owned() };
    shorten(&mut name);
    (!name.is_empty()).then_some(name)
}

#[inline]
fn is_allowed(c: char) -> bool {
    let turns_text =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    !c.is_control() && !turns_text && !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\u{2028}' | '\u{2029}')
}

/// What neither begins nor ends a name: Windows drops dots and spaces at the end.
#[inline]
fn is_edge(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// Windows has its devices in every directory, with any extension.
#[inline]
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|rest| {
            let mut digits = rest.chars();
            matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
        })
    };
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

#[inline]
fn shorten(name: &mut String) {
    if name.len() <= MOST {
        return;
    }
    let extension = match name.rfind('.') {
        Some(at) if name.len() - at <= 16 => name.split_off(at),
        _ => String::new(),
    };
    let mut end = (MOST - extension.len()).min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    let end = name.trim_end_matches(is_edge).len();
    name.truncate(end);
    name.push_str(&extension);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(name: &str) -> Option<String> {
        safe_file_name(name)
    }

    #[test]
    fn directories_are_left_out() {
        for name in [
            "a.txt",
            "/a.txt",
            "../a.txt",
            "..\\..\\a.txt",
            "C:\\dir\\a.txt",
            "C:a.txt\\..\\a.txt",
            "/etc/./a.txt",
            "\\\\server\\share\\a.txt",
            "//a.txt",
            "a/../a.txt",
            "file:///a.txt",
        ] {
            assert_eq!(safe(name).as_deref(), Some("a.txt"), "{name}");
        }
        assert_eq!(safe("C:evil.exe").as_deref(), Some("Cevil.exe"), "no drive, and no stream of NTFS");
        assert_eq!(safe("a.txt::$DATA").as_deref(), Some("a.txt$DATA"));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for name in ["", ".", "..", "...", "/", "a/", "a\\", " ", ". .", "\0", "..\0", "\u{202e}", "???", "../.."] {
            assert_eq!(safe(name), None, "{name:?}");
        }
    }

    #[test]
    fn nul_controls_and_hidden_turns_are_left_out() {
        assert_eq!(safe("a\0.txt").as_deref(), Some("a.txt"));
        assert_eq!(safe("a\r\nSet-Cookie: x.txt").as_deref(), Some("aSet-Cookie x.txt"));
        assert_eq!(safe("photo\u{202e}gpj.exe").as_deref(), Some("photogpj.exe"));
        assert_eq!(safe("<b>\"x\"|y?.txt*").as_deref(), Some("bxy.txt"));
        assert_eq!(safe("\u{85}caf\u{e9} \u{1f30a}.txt").as_deref(), Some("caf\u{e9} \u{1f30a}.txt"));
    }

    #[test]
    fn leading_dots_and_ends_that_windows_drops_are_left_out() {
        assert_eq!(safe(".bashrc").as_deref(), Some("bashrc"));
        assert_eq!(safe("..hidden").as_deref(), Some("hidden"));
        assert_eq!(safe(" .htaccess. . ").as_deref(), Some("htaccess"));
        assert_eq!(safe("\0.\u{1}.x").as_deref(), Some("x"), "also those that come forward");
    }

    #[test]
    fn devices_of_windows_are_files_like_others() {
        for name in ["con", "NUL", "nul.txt", "Com1.tar.gz", "LPT9", "aux .c", "com¹", "CONOUT$"] {
            assert_eq!(safe(name), Some(format!("_{name}")), "{name}");
        }
        for name in ["console", "com", "com10", "null.txt", "lptx", "a.con"] {
            assert_eq!(safe(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = safe(&format!("{}.tar.gz", "\u{e9}".repeat(300))).unwrap();
        assert!(name.len() <= 255 && name.len() > 250 && name.ends_with("\u{e9}.gz"), "{name}");
        let name = safe(&"x".repeat(300)).unwrap();
        assert_eq!(name.len(), 255);
        assert_eq!(safe(&format!("a.{}", "x".repeat(300))).unwrap().len(), 255);
    }

    proptest! {
        #[test]
        fn any_name_is_one_component(name in prop_oneof![any::<String>(), "[./\\\\ :a-cA-C\0nulo]{0,12}"]) {
            let Some(made) = safe(&name) else { return Ok(()) };
            prop_assert!(made.len() <= 255 && !made.starts_with('.') && !made.ends_with('.'), "{made:?}");
            let mut components = std::path::Path::new(&made).components();
            prop_assert!(matches!(components.next(), Some(std::path::Component::Normal(part)) if part == &*made));
            prop_assert!(components.next().is_none() && !made.contains(['/', '\\', ':', '\0']));
            prop_assert_eq!(safe(&made), Some(made), "made once, it stays");
        }
    }
}
