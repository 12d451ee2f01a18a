use std::{fmt, rc::Rc};

use http::{StatusCode, Version};
use iostream::IOStream;

use super::conn::ClientConn;
use crate::{
    Body, Error, Headers, Response, Result,
    http1::response_head::{ResponseFraming, ResponseHead},
};

/// What a server answered: the head, and the body as it comes.
///
/// A body that is dropped before its end closes the connection.
pub struct ClientResponse {
    head: ResponseHead,
    body: Body,
    /// The connection, if it was turned over to another protocol.
    tunnel: Option<Rc<ClientConn>>,
}

impl ClientResponse {
    #[inline]
    pub(super) fn new(head: ResponseHead, body: Body) -> ClientResponse {
        ClientResponse { head, body, tunnel: None }
    }

    #[inline]
    pub(super) fn tunnel(head: ResponseHead, conn: Rc<ClientConn>) -> ClientResponse {
        ClientResponse { head, body: Body::empty(), tunnel: Some(conn) }
    }

    /// The status: 200 to 999, or 101.
    #[inline]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The reason phrase as sent, which may be empty and is of no consequence (RFC 9112 4).
    #[inline]
    pub fn reason(&self) -> &[u8] {
        self.head.reason()
    }

    /// HTTP/1.1 or HTTP/1.0. A server that speaks a higher minor version counts as 1.1.
    #[inline]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The header lines.
    #[inline]
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// The body. Reading it also goes on with the rest of the request.
    ///
    /// Its errors are those of a server: [`Error::BadResponse`] when it is malformed, is longer than allowed or ends too
    /// early, [`Error::ServerTimeout`] when too little comes, and [`Error::Stream`] when the connection breaks. They have no
    /// status; a service that returns them answers 500, and a proxy should answer 502 or 504.
    #[inline]
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Takes the body out and leaves none.
    #[inline]
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Makes a response of it that a service can return: status, header lines and body, which is passed through as it comes.
    /// Lines about the connection to the server are dropped (RFC 9110 7.6.1).
    ///
    /// # Errors
    ///
    /// [`Error::BadResponse`] for one that switches protocols: see [`into_stream`](ClientResponse::into_stream).
    #[inline]
    pub fn into_response(mut self) -> Result<Response> {
        if self.tunnel.is_some() {
            return Err(Error::BadResponse("a switch of protocols is no response"));
        }
        let body = self.take_body();
        let length = self.headers().get("content-length").and_then(|length| length.parse().ok());
        let mut response = Response::new(self.status());
        // Of a body that is not there, as in answer to HEAD, the length says what there would be.
        if let Some(length) = length {
            response.set_content_length(length);
        }
        response.set_body(body);
        for (name, value) in self.headers().end_to_end() {
            // The encoder makes the one, and sees what trailers there are when they come.
            if !["content-length", "trailer"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
                response
                    .append_header(name, value)
                    .map_err(|_| Error::BadResponse("a header line that cannot be sent"))?;
            }
        }
        Ok(response)
    }

    /// The stream, on which another protocol is spoken from here on: behind a 101, or a 2xx to CONNECT. What has come behind
    /// the head is still in it. The time-outs of HTTP no longer apply.
    ///
    /// # Errors
    ///
    /// [`Error::NotUpgradable`] for any other response.
    #[inline]
    pub fn into_stream(self) -> Result<IOStream> {
        let conn = self.tunnel.ok_or(Error::NotUpgradable)?;
        Ok(conn.release_stream())
    }

    /// Whether the connection was turned over to another protocol.
    #[inline]
    pub fn is_upgrade(&self) -> bool {
        self.head.body == ResponseFraming::Tunnel
    }
}

impl fmt::Debug for ClientResponse {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientResponse")
            .field("status", &self.status())
            .field("headers", self.headers())
            .field("body", &self.body)
            .finish()
    }
}
