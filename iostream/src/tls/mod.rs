//! TLS for every kind of stream, through [rustls].
//!
//! Two types to hold in mind, one for each side, both cheap to clone and free to cross threads:
//!
//! * [`TlsAcceptor`]: what a server shows and demands. [`ServerOptions::tls`](crate::ServerOptions::tls) serves every
//!   connection by it, [`IOStream::start_tls_server`](crate::IOStream::start_tls_server) a single one, also in the middle of a
//!   conversation (STARTTLS).
//! * [`TlsConnector`]: whom a client trusts. [`TcpClient::connect_tls`](crate::TcpClient::connect_tls) connects by it, and
//!   [`IOStream::start_tls_client`](crate::IOStream::start_tls_client) begins TLS on a stream that is connected.
//!
//! A stream with TLS is the same [`IOStream`](crate::IOStream) with the same methods: reads and writes move plaintext,
//! back-pressure and limits count it, [`closed`](crate::IOStream::closed) and the close callback mean the connection.
//! [`tls_info`](crate::IOStream::tls_info) tells what was negotiated. TCP, Unix sockets, pairs in memory and transports of
//! your own can all carry TLS.
//!
//! # Features
//!
//! `tls` alone has no cryptography: a program passes a [`CryptoProvider`](rustls::crypto::CryptoProvider), or a
//! configuration of rustls that has one. `tls-ring` and `tls-aws-lc` add the constructors `ring` and `aws_lc`. With both
//! on, the program says which; nothing is chosen for it, and rustls' process-wide default is neither read nor set.
//!
//! # Ends
//!
//! [`close`](crate::IOStream::close) and [`shutdown_write`](crate::IOStream::shutdown_write) send a close_notify before
//! the FIN. A peer's close_notify is the end of input. A FIN without one may be an attacker's, who cuts the end off: reads
//! fail with [`Error::Closed`](crate::Error::Closed), whose cause has the kind
//! [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), and what came before stays readable. Many clients leave like this
//! all the same. A protocol that knows from its own messages where they end need not mind.
//!
//! # What it costs
//!
//! A small message still takes one `recv` and one `send`, and about 1 µs of CPU more at each side; a large one a `recv` for
//! up to 64 KiB and a `writev` for 64 KiB, with 0.3 ms of CPU for each MiB at each side. A session decrypts in the thread's
//! read chunk. What it has encrypted and not sent is at most 64 KiB, and only while the peer does not take it.
//!
//! An idle stream with TLS takes 7.5 KB more than one without at a server, and 8.3 KB at a client, measured with TLS 1.3
//! and *ring*. 176 bytes of that are this crate's. The rest is rustls' state of the session, of which 4 KiB are a buffer
//! for input that it does not give back.
//!
//! # What it is not for
//!
//! There is no early data (0-RTT), no kernel TLS and no DTLS.

mod acceptor;
mod certificates;
mod connector;
mod info;
mod pem;
mod start;

pub use rustls;

pub use self::{
    acceptor::{TlsAcceptor, TlsAcceptorBuilder},
    certificates::Certificates,
    connector::{TlsConnector, TlsConnectorBuilder},
    info::TlsInfo,
    start::HandshakeFuture,
};
