//! What a template makes, by its name.

use minijinja::AutoEscape;

/// A kind of text: how values are escaped in it, and what it is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    /// Of this media type.
    Xml(&'static str),
    Json(&'static str),
    /// Not escaped, so never HTML: what a client sent would run.
    Text(&'static str),
}

impl Format {
    /// By the extension, in front of one that only says that it is a template.
    #[inline]
    pub(crate) fn of(name: &str) -> Format {
        let name = [".j2", ".jinja2", ".jinja"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "html" | "htm" => Format::Html,
            "xml" => Format::Xml("application/xml"),
            "xhtml" => Format::Xml("application/xhtml+xml"),
            "svg" => Format::Xml("image/svg+xml"),
            "json" => Format::Json("application/json"),
            "js" => Format::Json("text/javascript; charset=utf-8"),
            "css" => Format::Text("text/css; charset=utf-8"),
            "csv" => Format::Text("text/csv; charset=utf-8"),
            _ => Format::Text("text/plain; charset=utf-8"),
        }
    }

    #[inline]
    pub(crate) fn auto_escape(self) -> AutoEscape {
        match self {
            Format::Html | Format::Xml(_) => AutoEscape::Html,
            Format::Json(_) => AutoEscape::Json,
            Format::Text(_) => AutoEscape::None,
        }
    }

    /// `None` for HTML, which answers are anyway.
    #[inline]
    pub(crate) fn content_type(self) -> Option<&'static str> {
        match self {
            Format::Html => None,
            Format::Xml(kind) | Format::Json(kind) | Format::Text(kind) => Some(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_escaped_is_not_html() {
        assert_eq!(Format::of("a/b.html"), Format::Html);
        assert_eq!(Format::of("page.htm.j2"), Format::Html);
        for name in ["mail.txt", "html", "a.HTML", "README", "x.html.txt", ""] {
            let format = Format::of(name);
            assert_eq!(format.auto_escape(), AutoEscape::None, "{name}");
            assert_eq!(format.content_type(), Some("text/plain; charset=utf-8"), "{name}");
        }
        assert_eq!(Format::of("feed.xml").auto_escape(), AutoEscape::Html);
        assert_eq!(Format::of("data.json").auto_escape(), AutoEscape::Json);
    }
}
