//! The opening handshake, as a server sees it (RFC 6455 4.2).

use base64::{Engine, engine::general_purpose::STANDARD};
use httpserver::{Headers, Method, Request, Response, StatusCode};
use sha1_smol::Sha1;

use super::{agreement::Agreement, options::Settings};
use crate::{
    error::{Error, HttpError, Result},
    exchange::Exchange,
};

/// What is hashed behind the client's key (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version there is.
const VERSION: &str = "13";

/// A handshake that may be accepted.
pub(super) struct Handshake {
    accept: [u8; 28],
    pub(super) agreement: Agreement,
    /// The answer to the client's extensions.
    extensions: Option<String>,
}

impl Handshake {
    /// Checks the request. The client's origin is not its business: see [`check_origin`].
    ///
    /// # Errors
    ///
    /// The answer to a request that is no handshake.
    #[inline]
    pub(super) fn check(request: &Request) -> Result<Handshake> {
        check_method(request)?;
        let headers = request.headers();
        check_upgrade(request)?;
        check_version(headers)?;
        let key = single(headers, "sec-websocket-key", "Sec-WebSocket-Key")?;
        // In the one spelling that 16 bytes have.
        let mut nonce = [0; 18];
        if !matches!(STANDARD.decode_slice(key, &mut nonce), Ok(16)) {
            return Err(bad_request("Sec-WebSocket-Key is not 16 bytes in base64"));
        }
        if !request.is_body_end() {
            return Err(bad_request("A WebSocket handshake has no body"));
        }
        Ok(Handshake { accept: accept(key), agreement: Agreement::default(), extensions: None })
    }

    /// Takes the first subprotocol of the client's that the server speaks.
    ///
    /// # Errors
    ///
    /// 400 for a list that is none.
    #[inline]
    pub(super) fn select_subprotocol(&mut self, request: &Request, settings: &Settings) -> Result<()> {
        let offered = offered_subprotocols(request.headers())?;
        let known = offered.into_iter().find(|offer| settings.subprotocols.iter().any(|known| known == offer));
        self.agreement.subprotocol = known.map(str::to_owned);
        Ok(())
    }

    /// Takes the first offer of compression that the options allow.
    #[inline]
    pub(super) fn select_extensions(&mut self, request: &Request, settings: &Settings) {
        #[cfg(feature = "deflate")]
        if let Some(options) = &settings.deflate {
            let offers = request.headers().list("sec-websocket-extensions");
            (self.agreement.deflate, self.extensions) = super::codec::Deflate::accept(offers, options).unzip();
        }
        let _ = (request, settings);
    }

    /// Makes `head` the 101.
    ///
    /// # Errors
    ///
    /// When the subprotocol cannot be sent.
    #[inline]
    pub(super) fn write_to(&self, head: &mut Response) -> Result<()> {
        head.set_status(StatusCode::SWITCHING_PROTOCOLS);
        head.set_header("Upgrade", "websocket")?;
        head.set_header("Sec-WebSocket-Accept", std::str::from_utf8(&self.accept).unwrap_or_default())?;
        if let Some(subprotocol) = &self.agreement.subprotocol {
            head.set_header("Sec-WebSocket-Protocol", subprotocol)?;
        }
        if let Some(extensions) = &self.extensions {
            head.set_header("Sec-WebSocket-Extensions", extensions)?;
        }
        Ok(())
    }
}

/// Refuses pages of other origins. A client that is no browser sends none, and may.
///
/// # Errors
///
/// 403, and 400 for two origins, which only one who wants to hide the first would send.
#[inline]
pub(super) fn check_origin(exchange: &Exchange, allows: impl FnOnce(&[u8]) -> bool) -> Result<()> {
    let mut lines = exchange.headers().get_all("origin");
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if allows(origin) => Ok(()),
        (Some(_), None) => Err(Error::http(StatusCode::FORBIDDEN, "Cross-origin WebSockets are not allowed")),
        (Some(_), Some(_)) => Err(bad_request("More than one Origin")),
    }
}

/// The subprotocols that a client offers, in the order of its preference.
///
/// # Errors
///
/// 400 for one that is not a token.
#[inline]
pub(super) fn offered_subprotocols(headers: &Headers) -> Result<Vec<&str>> {
    let token = |name| std::str::from_utf8(name).ok().filter(|name| is_token(name.as_bytes()));
    let offered = headers.list("sec-websocket-protocol").map(token).collect::<Option<Vec<_>>>();
    offered.ok_or_else(|| bad_request("Malformed Sec-WebSocket-Protocol"))
}

/// What proves that a server has understood the handshake with this key.
#[inline]
pub(super) fn accept(key: &[u8]) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    let mut accept = [0; 28];
    // Base64 of 20 bytes is 28 long.
    let written = STANDARD.encode_slice(hash.digest().bytes(), &mut accept);
    debug_assert_eq!(written, Ok(28));
    accept
}

/// Whether it is a token of HTTP (RFC 9110 5.6.2).
#[inline]
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[inline]
fn check_method(request: &Request) -> Result<()> {
    if *request.method() != Method::GET {
        return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED).header("Allow", "GET").into());
    }
    Ok(())
}

/// A request that does not ask for a WebSocket is told that there is nothing else here (RFC 9110 15.5.22).
#[inline]
fn check_upgrade(request: &Request) -> Result<()> {
    let headers = request.headers();
    if !headers.has_token("upgrade", "websocket") {
        return Err(upgrade_required("This is a WebSocket"));
    }
    if request.is_upgrade() {
        return Ok(());
    }
    // What is missing for it to be one.
    Err(bad_request(match headers.has_token("connection", "upgrade") {
        true => "WebSockets need HTTP/1.1",
        false => "Connection does not name Upgrade",
    }))
}

#[inline]
fn check_version(headers: &Headers) -> Result<()> {
    if !headers.contains("sec-websocket-version") {
        return Err(bad_request("Sec-WebSocket-Version is missing"));
    }
    let mut versions = headers.get_all("sec-websocket-version");
    match (versions.next(), versions.next()) {
        (Some(version), None) if version == VERSION.as_bytes() => Ok(()),
        _ => Err(upgrade_required("The only version is 13")),
    }
}

/// The value of a line that there is exactly one of.
#[inline]
fn single<'h>(headers: &'h Headers, name: &str, shown: &str) -> Result<&'h [u8]> {
    let mut lines = headers.get_all(name);
    match (lines.next(), lines.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(bad_request(format!("{shown} is missing"))),
        (Some(_), Some(_)) => Err(bad_request(format!("More than one {shown}"))),
    }
}

#[inline]
fn bad_request(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::http(StatusCode::BAD_REQUEST, message)
}

#[inline]
fn upgrade_required(message: &'static str) -> Error {
    HttpError::new(StatusCode::UPGRADE_REQUIRED)
        .message(message)
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", VERSION)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted_as_the_rfc_says() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn tokens_are_told_from_other_text() {
        assert!(is_token(b"chat.v2") && is_token(b"!#$%&'*+-.^_`|~"));
        for bad in [&b""[..], b"a b", b"a,b", b"a\"", b"a/b", b"\xc3\xa9"] {
            assert!(!is_token(bad));
        }
    }
}
