//! Which types of content become shorter.

/// Types beside `text/*`, JSON and XML. Tornado's (`GZipContentEncoding.CONTENT_TYPES`), and some more that are as
/// uncompressed.
const TYPES: [&str; 17] = [
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

/// Whether content of this type, the value of a `Content-Type`, is worth being compressed.
#[inline]
pub(super) fn is_compressible(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    // An event is news for somebody who waits. It is short, and there may be thousands of such streams.
    if essence == b"text/event-stream" {
        return false;
    }
    essence.starts_with(b"text/")
        || essence.ends_with(b"+json")
        || essence.ends_with(b"+xml")
        || TYPES.iter().any(|known| known.as_bytes() == essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_by_any_name_is_compressible() {
        for name in [
            "text/html; charset=UTF-8",
            "text/x-anything",
            "TEXT/CSS",
            "application/json",
            "application/ld+json;profile=x",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/atom+xml",
            "application/javascript",
            "application/wasm",
            "font/ttf",
        ] {
            assert!(is_compressible(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "text",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "font/woff2",
            "application/zip",
            "application/gzip",
            "application/pdf",
            "application/octet-stream",
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
        ] {
            assert!(!is_compressible(name.as_bytes()), "{name}");
        }
    }
}
