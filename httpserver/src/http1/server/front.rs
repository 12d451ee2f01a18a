//! What comes before HTTP on a connection: the header of a proxy, and the handshake of TLS.
//!
//! Both run in a task of their own, before that of the connection begins: no idle connection has room for them. To a drain
//! such a connection is busy, because its client is about to send a request.

#[cfg(feature = "tls")]
use std::sync::Arc;

use iostream::{Burst, IOLoop, Peer, ioloop::Printable, proxy_protocol::ProxyProtocol};
#[cfg(feature = "tls")]
use iostream::{Parsed, ioloop::timeout, tls::TlsAcceptor};

use super::{Flag, Registration, ServerConn, as_peer, serve::close};
#[cfg(feature = "tls")]
use crate::{Error, IntoResponse};
use crate::{Response, ServerOptions, StatusCode};

/// What a server expects before HTTP; usually nothing.
pub(crate) struct Front {
    proxies: Option<ProxyProtocol>,
    #[cfg(feature = "tls")]
    tls: Option<TlsAcceptor>,
    /// Connections that did not get to HTTP. A scanner, or a certificate that has expired, may fail one after the other.
    failures: Burst,
}

impl Front {
    pub(crate) fn new(options: &mut ServerOptions) -> Front {
        Front {
            proxies: options.proxy_protocol.take(),
            #[cfg(feature = "tls")]
            tls: options.tls.take().map(speaking_http),
            failures: Burst::default(),
        }
    }

    /// Whether something comes before HTTP when `peer` has connected.
    #[inline]
    pub(crate) fn is_before(&self, peer: &Peer) -> bool {
        self.is_tls() || self.is_proxy(peer)
    }

    /// Whether a header has to come from `peer`, which then is not the client.
    #[inline]
    pub(crate) fn is_proxy(&self, peer: &Peer) -> bool {
        self.proxies.as_ref().is_some_and(|proxies| proxies.trusts(peer))
    }

    /// Whether an answer in plaintext means nothing to a client.
    #[inline]
    pub(crate) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Takes a connection to where HTTP begins. False when it has ended before that.
    pub(crate) async fn pass(&self, registration: &mut Registration) -> bool {
        registration.conn.conn.flags.set(Flag::BUSY);
        let passed = self.pass_header(registration).await && self.pass_handshake(&registration.conn).await;
        registration.conn.conn.flags.clear(Flag::BUSY);
        passed
    }

    async fn pass_header(&self, registration: &mut Registration) -> bool {
        let proxy = as_peer(registration.conn.peer());
        let Some(proxies) = self.proxies.as_ref().filter(|proxies| proxies.trusts(&proxy)) else { return true };
        let source = match proxies.read_header(registration.conn.stream()).await {
            Ok(header) => header.source,
            Err(error) => {
                self.log("the PROXY header", &registration.conn, &error);
                return false;
            }
        };
        // The proxy may speak for itself.
        let Some(client) = source else { return true };
        let addr = client.ip().map(|_| client.socket_addr());
        registration.conn.peer.set(addr);
        let is_admitted = addr.is_none_or(|addr| registration.assign(addr.ip()));
        if !is_admitted && !self.is_tls() {
            let mut response = Response::new(StatusCode::SERVICE_UNAVAILABLE).with_header("Retry-After", "1");
            registration.conn.refuse(&mut response);
            close(&registration.conn).await;
        }
        is_admitted
    }

    #[cfg(feature = "tls")]
    async fn pass_handshake(&self, conn: &ServerConn) -> bool {
        let Some(acceptor) = &self.tls else { return true };
        let began = IOLoop::current().turn_time();
        // Looked at, and left for the handshake.
        let first = conn.stream().read_with(|bytes| match bytes.first() {
            Some(&byte) => Parsed::Done { consumed: 0, value: byte },
            None => Parsed::Incomplete,
        });
        let handshake = match timeout(acceptor.timeout(), first).await {
            // A record of a handshake begins with a 22, a method with a letter.
            Ok(Ok(byte)) if byte.is_ascii_uppercase() => {
                let error = Error::BadRequest("plain HTTP was sent to a port for HTTPS");
                self.log("the TLS handshake", conn, &error);
                conn.refuse(&mut error.into_response());
                close(conn).await;
                return false;
            }
            Ok(Ok(_)) => {
                let left = acceptor.timeout().saturating_sub(IOLoop::current().turn_time() - began);
                conn.stream().start_tls_server(&acceptor.clone().handshake_timeout(left)).await
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(iostream::Error::TimedOut),
        };
        match handshake {
            Ok(()) => conn.conn.flags.set(Flag::TLS),
            Err(error) => self.log("the TLS handshake", conn, &error),
        }
        conn.is_tls()
    }

    #[cfg(not(feature = "tls"))]
    async fn pass_handshake(&self, _: &ServerConn) -> bool {
        true
    }

    fn log(&self, what: &str, conn: &ServerConn, error: &dyn std::error::Error) {
        let (peer, error) = (as_peer(conn.peer()), Printable::display(&error));
        match self.failures.note(IOLoop::current().turn_time()) {
            Some(silent) => log::info!("{what} of {peer} has failed, and {silent} before: {error}"),
            None => log::debug!("{what} of {peer} has failed: {error}"),
        }
    }
}

/// Has a client that offers HTTP/2 and HTTP/1.1 know which of them it is. One that offers HTTP/2 alone is refused.
#[cfg(feature = "tls")]
fn speaking_http(acceptor: TlsAcceptor) -> TlsAcceptor {
    if !acceptor.config().alpn_protocols.is_empty() {
        return acceptor;
    }
    let mut config = (**acceptor.config()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::new(Arc::new(config)).handshake_timeout(acceptor.timeout())
}
