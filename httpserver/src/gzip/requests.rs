use super::gunzip::Gunzip;
use crate::{Body, Error, IntoResponse, Request, Response, Result, Service};

impl Request {
    /// Replaces a body in gzip by what it decompresses to, at most `max` bytes. Nothing is read yet.
    ///
    /// `Content-Encoding` and `Content-Length` are removed from the request's headers, since they no longer describe its
    /// body. A request without a content coding stays as it is, also if its body is longer than `max`.
    ///
    /// Reading the body then fails with [`Error::BadRequest`] (400) when it is not gzip, ends too early, or has something
    /// behind it that is not another gzip member; and with [`Error::BodyTooLarge`] (413) when more than `max` bytes come
    /// out. Members beyond the first count for 1 KiB each, because empty ones cost time and few bytes. The limits of the
    /// server apply to what the client sends.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedMediaType`] (415) for any other content coding, and for several. The request is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{IOLoop, Request};
    ///
    /// let hello = [
    ///     0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0, 0, 0,
    /// ];
    /// let mut request = Request::builder().header("Content-Encoding", "gzip").body(hello.to_vec()).build()?;
    /// request.decompress(1000)?;
    /// assert_eq!(IOLoop::current().run_sync(request.bytes())?, "hello");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn decompress(&mut self, max: u64) -> Result<()> {
        let mut codings = self.headers().list("content-encoding");
        match (codings.next(), codings.next()) {
            (None, _) => return Ok(()),
            // RFC 9110 8.4.1.3 has both mean the same.
            (Some(coding), None) if is_gzip(coding) => {}
            _ => return Err(Error::UnsupportedMediaType("a content coding other than gzip")),
        }
        drop(codings);
        self.headers_mut().remove(&["content-encoding", "content-length"]);
        let body = self.take_body();
        // An answer to HEAD has codings without a body; a request may, too.
        if !body.is_end() {
            self.set_body(Body::stream(Gunzip::new(body, max)));
        }
        Ok(())
    }
}

#[inline]
fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// A service that sees the bodies of requests decompressed; see [`Request::decompress`].
///
/// A request with another coding than gzip is answered 415 with `Accept-Encoding: gzip` (RFC 9110 15.5.16), unless
/// [`pass_unknown`](DecompressRequests::pass_unknown) is set. Requests without a coding cost one look at their headers.
///
/// # Examples
///
/// ```no_run
/// use httpserver::{HttpServer, Request, gzip::DecompressRequests};
///
/// let service = async |mut request: Request| request.bytes().await;
/// HttpServer::new(DecompressRequests::new(service).max_body(10 * 1024 * 1024)).listen(8888)?;
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Debug)]
pub struct DecompressRequests<S> {
    service: S,
    max_body: Option<u64>,
    pass_unknown: bool,
}

impl<S> DecompressRequests<S> {
    /// Goes around `service`.
    #[inline]
    pub fn new(service: S) -> DecompressRequests<S> {
        DecompressRequests { service, max_body: None, pass_unknown: false }
    }

    /// Sets the longest decompressed body in bytes. By default it is [`Limits::max_body`](crate::Limits::max_body) of the
    /// server, 100 MiB if that is not changed: the same limit before and after.
    #[must_use]
    #[inline]
    pub fn max_body(mut self, max: u64) -> Self {
        self.max_body = Some(max);
        self
    }

    /// Hands requests with another coding to the service as they are, instead of answering 415. Off by default. This is
    /// what Tornado does.
    #[must_use]
    #[inline]
    pub fn pass_unknown(mut self, pass: bool) -> Self {
        self.pass_unknown = pass;
        self
    }
}

impl<S: Service> Service for DecompressRequests<S> {
    #[inline]
    async fn call(&self, mut request: Request) -> Response {
        if request.headers().contains("content-encoding") {
            let max = self.max_body.unwrap_or_else(|| request.max_body());
            match request.decompress(max) {
                Err(error) if !self.pass_unknown => {
                    return error.into_response().with_header("Accept-Encoding", "gzip");
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.service.call(request).await
    }
}
