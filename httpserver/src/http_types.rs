//! To and from the `http` crate's requests and responses, which other libraries speak.

use http::{HeaderName, HeaderValue, Uri, header};

use crate::{Body, Error, Request, Response};

/// Fields of a connection rather than of a message (RFC 9110 7.6.1). The server writes its own.
const CONNECTION_FIELDS: [HeaderName; 2] = [header::CONNECTION, header::TRANSFER_ENCODING];

impl<B: Into<Body>> TryFrom<http::Request<B>> for Request {
    type Error = Error;

    /// The extensions come along as one value of type [`http::Extensions`].
    ///
    /// # Errors
    ///
    /// As [`RequestBuilder::build`](crate::RequestBuilder::build).
    #[inline]
    fn try_from(request: http::Request<B>) -> Result<Request, Error> {
        let (parts, body) = request.into_parts();
        let mut builder = Request::builder().method(parts.method).target(parts.uri.to_string()).version(parts.version);
        for (name, value) in &parts.headers {
            builder = builder.header(name.as_str(), value);
        }
        let request = builder.body(body).build()?;
        if !parts.extensions.is_empty() {
            request.extensions().set(parts.extensions);
        }
        Ok(request)
    }
}

impl TryFrom<Request> for http::Request<Body> {
    type Error = Error;

    /// Header names in lower case; the extensions of type [`http::Extensions`] come along, if there are some.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] when the `http` crate does not accept the target as a URI.
    #[inline]
    fn try_from(mut request: Request) -> Result<http::Request<Body>, Error> {
        let uri: Uri = request.target().parse().map_err(|_| Error::BadRequest("malformed request target"))?;
        let mut converted = http::Request::new(request.take_body());
        *converted.method_mut() = request.method().clone();
        *converted.uri_mut() = uri;
        *converted.version_mut() = request.version();
        *converted.headers_mut() = request.headers().to_header_map();
        if let Some(extensions) = request.extensions().remove::<http::Extensions>() {
            *converted.extensions_mut() = std::rc::Rc::unwrap_or_clone(extensions);
        }
        Ok(converted)
    }
}

impl<B: Into<Body>> From<http::Response<B>> for Response {
    /// `Connection` and `Transfer-Encoding` are dropped: the server writes its own. Extensions are dropped as well.
    #[inline]
    fn from(response: http::Response<B>) -> Response {
        let (parts, body) = response.into_parts();
        let mut converted = Response::new(parts.status).with_body(body);
        for (name, value) in parts.headers.iter().filter(|(name, _)| !CONNECTION_FIELDS.contains(name)) {
            // The grammar of the `http` crate is no wider, but for lengths, and those of a body are known.
            if let Err(error) = converted.append_header(name.as_str(), value) {
                log::debug!("header {name} of a converted response dropped: {error}");
            }
        }
        converted
    }
}

impl From<Response> for http::Response<Body> {
    /// Lines that the server would add when it sends are not there. [`Response::abort`] has no counterpart and becomes
    /// a 500 without a body; an upgrade becomes its head.
    #[inline]
    fn from(mut response: Response) -> http::Response<Body> {
        let mut converted = http::Response::new(response.take_body());
        *converted.status_mut() = response.status();
        let headers = converted.headers_mut();
        for (name, value) in response.headers() {
            // Checked when they were set, by a grammar that is no wider.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        if let Some(length) = response.content_length() {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        if response.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        converted
    }
}
