use rustls::{Connection, HandshakeKind, ProtocolVersion, SupportedCipherSuite, pki_types::CertificateDer};

/// What a handshake has negotiated; see [`IOStream::tls_info`](crate::IOStream::tls_info).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsInfo {
    /// TLS 1.2 or 1.3.
    pub version: ProtocolVersion,
    /// The cipher suite.
    pub cipher_suite: SupportedCipherSuite,
    /// The protocol that was agreed on (ALPN), such as `h2`. `None` when one side offered none.
    pub alpn_protocol: Option<Vec<u8>>,
    /// At a server, the name that the client asked for (SNI), in lower case. `None` at a client, which knows, and when the
    /// client named none.
    pub server_name: Option<String>,
    /// The peer's certificates, its own first. Empty when it has shown none, which is the rule for clients.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// Whether an earlier session was resumed, without its key exchange or certificates.
    pub resumed: bool,
}

impl TlsInfo {
    /// `None` while the handshake lasts.
    pub(super) fn new(conn: &Connection) -> Option<TlsInfo> {
        let server_name = match conn {
            Connection::Server(conn) => conn.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        Some(TlsInfo {
            version: conn.protocol_version()?,
            cipher_suite: conn.negotiated_cipher_suite()?,
            alpn_protocol: conn.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
            peer_certificates: conn.peer_certificates().unwrap_or_default().to_vec(),
            resumed: conn.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}
