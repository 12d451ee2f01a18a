//! Compression of responses.

mod gzip;
mod media_type;
mod stream;

use httpserver::{Body, Method, Response, StatusCode};

use self::{gzip::compress_whole, media_type::is_compressible, stream::Compressed};
use crate::{
    accept_encoding::{Coding, accepted},
    error::Result,
    etag,
    exchange::Exchange,
    wrap::{Next, Wrap},
};

/// Compresses responses with gzip for clients that accept it: a [`Wrap`], around an application, a nested one or a route.
///
/// Compressed is what is worth it: text, JSON, XML, SVG, JavaScript, WebAssembly and the like, from 1,024 bytes on, streamed
/// bodies of any length. Left alone are
///
/// * types that are compressed already, and event streams;
/// * what has a `Content-Encoding` or `Cache-Control: no-transform`. A handler that sets `Content-Encoding: identity` asks for
///   its response to be left alone; the line itself is not sent;
/// * parts of files: a 206, or anything with a `Content-Range`;
/// * what has a digest of its bytes: `Content-Digest`, `Repr-Digest`, `Digest`, `Content-MD5`;
/// * what has no body: 204, 304, upgrades. The head for HEAD is that for GET, but for the length of a body that would have
///   to be made.
///
/// `Accept-Encoding` counts with its weights. `Vary: Accept-Encoding` is on everything that would be compressed for some
/// client. A strong `ETag` becomes a weak one, since the bytes are others (RFC 9110, section 8.8.1): with `If-None-Match` it
/// works as before, for `If-Match` use a tag that was read uncompressed.
///
/// A streamed response stays one. What a handler has written leaves with its `flush` at the latest, and whenever the handler
/// waits, at a few bytes for each such point.
///
/// # Cost
///
/// About 1 ms of the loop's time for 50 KiB of text at level 6. Bodies of more than 64 KiB are compressed 32 KiB at a time,
/// with others in between, and are sent in chunks. A response in progress holds 0.4 MiB; two such states are kept by each
/// thread for the next ones. Files that do not change are better compressed once:
#[cfg_attr(feature = "static", doc = "[`StaticFiles::precompressed`](crate::StaticFiles::precompressed).")]
#[cfg_attr(not(feature = "static"), doc = "`StaticFiles::precompressed`, of the feature `static`.")]
///
/// # Security
///
/// The length of a compressed page tells something of its content. Where a secret stands in one page with text that an
/// attacker can choose, and the attacker can make the client ask often and watch the lengths, the secret can be guessed letter
/// by letter (BREACH). An XSRF token is safe if it is masked anew for every page, as Tornado's are. Leave other such
/// pages alone, by wrapping only the routes that have none or by `Content-Encoding: identity`.
///
/// # Examples
///
/// ```
/// use web::{Application, Compress, Exchange, testing::{self, TestClient}};
///
/// async fn poem(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("a rose is ".repeat(1000));
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().get("/", poem).wrap(Compress::new()));
///     let reply = client.get("/").header("Accept-Encoding", "gzip, br").send().await;
///     assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
///     assert!(reply.bytes().len() < 500);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Compress {
    level: u8,
    min_size: u64,
}

/// Headers that are about the bytes as they are. The digests are those of RFC 9530 and the older ones.
const FIXED: [&str; 5] = ["content-range", "content-digest", "repr-digest", "digest", "content-md5"];

/// Up to this many bytes are compressed at once, so that their length is known.
const MOST_AT_ONCE: usize = 64 * 1024;

impl Compress {
    /// At level 6, from 1,024 bytes on.
    #[inline]
    pub fn new() -> Compress {
        gzip::keep_until_ebb();
        Compress { level: 6, min_size: 1024 }
    }

    /// Sets the level, from 1, which is fast, to 9, which is small. 6 by default, as Tornado's.
    ///
    /// # Panics
    ///
    /// If the level is another.
    #[must_use]
    #[inline]
    pub fn level(mut self, level: u8) -> Compress {
        assert!((1..=9).contains(&level), "a level of compression is 1 to 9, not {level}");
        self.level = level;
        self
    }

    /// Sets the length in bytes below which nothing is compressed. 1,024 by default: shorter ones fit into one packet anyway.
    /// A streamed body whose length is unknown is compressed in any case.
    #[must_use]
    #[inline]
    pub fn min_size(mut self, bytes: u64) -> Compress {
        self.min_size = bytes;
        self
    }
}

impl Default for Compress {
    #[inline]
    fn default() -> Compress {
        Compress::new()
    }
}

impl Wrap for Compress {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        let job = Job {
            level: self.level,
            min_size: self.min_size,
            is_accepted: !accepted(exchange.headers().get_all("accept-encoding"), &[Coding::Gzip]).is_empty(),
            is_head: *exchange.method() == Method::HEAD,
            known_tags: exchange.headers().get_all("if-none-match").map(<[u8]>::to_vec).collect(),
        };
        exchange.on_response(move |response| job.apply(response));
        next.run(exchange).await
    }
}

/// What one response needs to know of its request.
struct Job {
    level: u8,
    min_size: u64,
    is_accepted: bool,
    is_head: bool,
    /// The lines of `If-None-Match`.
    known_tags: Vec<Vec<u8>>,
}

impl Job {
    #[inline]
    fn apply(self, response: &mut Response) {
        match response.status() {
            StatusCode::NOT_MODIFIED => return self.apply_to_not_modified(response),
            StatusCode::PARTIAL_CONTENT => return apply_to_part(response),
            _ => {}
        }
        if !self.is_candidate(response) {
            return;
        }
        add_vary(response);
        if self.is_accepted {
            self.compress(response);
        }
    }

    /// Whether the response would be compressed for some client.
    #[inline]
    fn is_candidate(&self, response: &mut Response) -> bool {
        let status = response.status();
        if response.is_abort() || status.is_informational() {
            return false;
        }
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            return false;
        }
        if let Some(coding) = response.header_bytes("content-encoding") {
            if coding.eq_ignore_ascii_case(b"identity") {
                response.remove_header("content-encoding");
            }
            return false;
        }
        let is_fixed = FIXED.iter().any(|name| response.header_bytes(name).is_some())
            || has_member(response, "cache-control", b"no-transform");
        if is_fixed || !response.header_bytes("content-type").is_some_and(is_compressible) {
            return false;
        }
        match self.length(response) {
            Some(length) => length >= self.min_size.max(1),
            None => true,
        }
    }

    /// How many bytes the body has without compression, if that is known.
    #[inline]
    fn length(&self, response: &Response) -> Option<u64> {
        match response.body().content_length() {
            // The answer to a HEAD may know the length without having the body.
            Some(0) if self.is_head => response.content_length().or(Some(0)),
            Some(length) => Some(length),
            None => response.content_length(),
        }
    }

    #[inline]
    fn compress(&self, response: &mut Response) {
        let announced = response.content_length();
        let body = match response.body().as_bytes() {
            Some(bytes) if !bytes.is_empty() && bytes.len() <= MOST_AT_ONCE => {
                let compressed = compress_whole(self.level, bytes);
                // Random letters, say. Vary is there all the same: it is about the resource.
                if compressed.len() >= bytes.len() {
                    return;
                }
                Body::from(compressed)
            }
            // Of a HEAD it is never polled, and only says that the length is unknown.
            _ => {
                let announced = announced.filter(|_| response.body().as_bytes().is_none());
                Body::stream(Compressed::new(response.take_body(), self.level, announced))
            }
        };
        response.set_body(body);
        response.remove_header("content-length");
        // Ranges are those of the coded bytes, which are made anew each time.
        response.remove_header("accept-ranges");
        weaken_tag(response);
        let set = response.set_header("Content-Encoding", Coding::Gzip.name());
        debug_assert!(set.is_ok(), "name and value are valid");
    }

    /// A 304 has the tag and the `Vary` of the response that the client has (RFC 9110, section 15.4.5). Which one that is, its
    /// own list tells.
    #[inline]
    fn apply_to_not_modified(&self, response: &mut Response) {
        add_vary(response);
        let Some(current) = response.header_bytes("etag").and_then(etag::EntityTag::parse) else { return };
        let mut known =
            self.known_tags.iter().flat_map(|line| etag::tags(line)).filter(|tag| tag.is_same_weakly(current));
        let is_known_as_weak = known.next().is_some_and(etag::EntityTag::is_weak) && known.next().is_none();
        if is_known_as_weak {
            weaken_tag(response);
        }
    }
}

/// A part is not compressed, but has the `Vary` of the whole, which may be (RFC 9110, section 15.3.7).
#[inline]
fn apply_to_part(response: &mut Response) {
    let is_compressible_whole = response
        .header_bytes("content-type")
        .is_some_and(|kind| is_compressible(kind) || kind.starts_with(b"multipart/"));
    let is_fixed =
        response.header_bytes("content-encoding").is_some() || has_member(response, "cache-control", b"no-transform");
    if is_compressible_whole && !is_fixed {
        add_vary(response);
    }
}

#[inline]
fn weaken_tag(response: &mut Response) {
    let Some(tag) = response.header_bytes("etag").filter(|tag| tag.starts_with(b"\"")) else { return };
    let weak = [b"W/", tag].concat();
    let set = response.set_header("ETag", weak);
    debug_assert!(set.is_ok(), "it was the value of a header before");
}

#[inline]
fn add_vary(response: &mut Response) {
    if has_member(response, "vary", b"accept-encoding") || has_member(response, "vary", b"*") {
        return;
    }
    let added = response.append_header("Vary", "Accept-Encoding");
    debug_assert!(added.is_ok(), "name and value are valid");
}

/// Whether a list has a member, in any case.
#[inline]
fn has_member(response: &Response, name: &str, member: &[u8]) -> bool {
    response
        .headers()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(member))
}
