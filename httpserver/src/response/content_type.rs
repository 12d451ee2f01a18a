/// A Content-Type that needs no buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentType {
    /// None, or one among the lines.
    None,
    Text,
    Html,
    Json,
    Octets,
    /// A text of the program's own.
    Value,
}

impl ContentType {
    // Whole lines, as they are sent. Arrays, because a copy of known length takes half the instructions.
    pub(crate) const TEXT: &[u8; 41] = b"Content-Type: text/plain; charset=utf-8\r\n";
    pub(crate) const HTML: &[u8; 40] = b"Content-Type: text/html; charset=utf-8\r\n";
    pub(crate) const JSON: &[u8; 32] = b"Content-Type: application/json\r\n";
    pub(crate) const OCTETS: &[u8; 40] = b"Content-Type: application/octet-stream\r\n";

    /// The line of a usual type, with its CRLF.
    pub(super) fn line(self) -> Option<&'static [u8]> {
        Some(match self {
            ContentType::None | ContentType::Value => return None,
            ContentType::Text => Self::TEXT,
            ContentType::Html => Self::HTML,
            ContentType::Json => Self::JSON,
            ContentType::Octets => Self::OCTETS,
        })
    }
}
