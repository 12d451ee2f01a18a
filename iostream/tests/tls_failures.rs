//! TLS that fails, is cut off, or never comes.

mod common;

use std::{
    cell::Cell,
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    rc::Rc,
    time::Duration,
};

use common::{certs::Authority, pair, pattern, run, streams, turns};
use iostream::{
    Error, IOLoop, IOStream, ServerOptions, TcpClient, TcpServer,
    ioloop::VirtualClock,
    memory,
    netutil::Family,
    spawn,
    tls::{TlsAcceptor, TlsConnector, rustls},
};

/// What a handshake over these streams comes to, at the server and at the client.
async fn outcome(
    (server, client): (&IOStream, &IOStream),
    (acceptor, connector): (&TlsAcceptor, &TlsConnector),
    name: &str,
) -> (iostream::Result<()>, iostream::Result<()>) {
    let accepted = spawn(server.start_tls_server(acceptor));
    let connected = client.start_tls_client(connector, name).await;
    (accepted.await.unwrap(), connected)
}

fn rustls_error(error: &Error) -> &rustls::Error {
    let Error::Tls { cause } = error else { panic!("{error:?}") };
    cause.get_ref().and_then(|inner| inner.downcast_ref()).expect("an error of rustls")
}

#[test]
fn a_certificate_that_proves_nothing_is_rejected_and_both_sides_know_why() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let acceptor = ours.server().build().unwrap();
    let (knows, does_not) = (ours.client().build().unwrap(), theirs.client().build().unwrap());
    for (connector, name, at_client, at_server) in [
        (&knows, "other.example", "certificate not valid for name", "BadCertificate"),
        (&does_not, "localhost", "UnknownIssuer", "UnknownCA"),
    ] {
        run(async {
            let (server, client) = streams();
            let (accepted, connected) = outcome((&server, &client), (&acceptor, connector), name).await;
            let (accepted, connected) = (accepted.unwrap_err(), connected.unwrap_err());
            assert!(matches!(rustls_error(&connected), rustls::Error::InvalidCertificate(_)), "{connected}");
            assert!(matches!(rustls_error(&accepted), rustls::Error::AlertReceived(_)), "{accepted}");
            assert!(
                connected.to_string().starts_with("TLS: ") && connected.to_string().contains(at_client),
                "{connected}"
            );
            assert!(accepted.to_string().contains(at_server), "{accepted}");
            assert!(server.is_closed() && client.is_closed());
            assert!(client.write("x").await.unwrap_err().to_string().contains(at_client));
        });
    }
}

#[test]
fn a_client_without_the_certificate_that_is_demanded_is_told_so() {
    let authority = Authority::new();
    let acceptor = authority.server().require_client_certificates(authority.root()).unwrap().build().unwrap();
    let connector = authority.client().build().unwrap();
    run(async {
        let (server, client) = streams();
        let (accepted, connected) = outcome((&server, &client), (&acceptor, &connector), "localhost").await;
        assert!(matches!(rustls_error(&accepted.unwrap_err()), rustls::Error::NoCertificatesPresented));
        // A client of TLS 1.3 is done before the server has looked.
        connected.unwrap();
        let error = client.read_bytes(1).await.unwrap_err();
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    });
}

#[test]
fn sides_without_a_common_protocol_part() {
    let authority = Authority::new();
    let acceptor = authority.server().alpn(["h2"]).build().unwrap();
    let connector = authority.client().alpn(["http/1.1"]).build().unwrap();
    run(async {
        let (server, client) = streams();
        let (accepted, connected) = outcome((&server, &client), (&acceptor, &connector), "localhost").await;
        assert!(matches!(rustls_error(&accepted.unwrap_err()), rustls::Error::NoApplicationProtocol));
        assert!(connected.unwrap_err().to_string().contains("NoApplicationProtocol"));
    });
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_from_a_bad_one() {
    let authority = Authority::new();
    let acceptor = authority.server().build().unwrap();
    // A record that is longer than any may be, one of an unknown kind, one that promises a handshake and has none.
    let nonsense: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", &[0; 20], b"\x16\x03\x01\0\x05hello"];
    for bytes in nonsense {
        let (server, mut peer) = pair();
        peer.write_all(bytes).unwrap();
        let error = run(server.start_tls_server(&acceptor)).unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
        let says_so = error.to_string().contains("the peer does not speak TLS");
        assert_eq!(says_so, bytes[0] != 0x16, "{error}");
        assert!(server.is_closed());
    }
}

#[test]
fn a_peer_that_leaves_in_the_middle_of_the_handshake_is_no_tls_error() {
    let authority = Authority::new();
    let acceptor = authority.server().build().unwrap();
    let (server, mut peer) = pair();
    peer.write_all(b"\x16\x03\x01\x02\0\x01").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let error = run(server.start_tls_server(&acceptor)).unwrap_err();
    assert!(error.is_closed() && error.to_string().contains("left during the TLS handshake"), "{error}");
}

#[test]
fn what_was_injected_before_the_handshake_is_never_read() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    // The server has received a command behind STARTTLS, which was not sent under TLS.
    run(async {
        let (server, client) = streams();
        client.write("STARTTLS\r\nRCPT TO:<somebody>\r\n").await.unwrap();
        server.read_until(b"\r\n").await.unwrap();
        assert!(server.buffered() > 0);
        let error = server.start_tls_server(&acceptor).await.unwrap_err();
        assert!(error.to_string().contains("the peer does not speak TLS"), "{error}");
        assert_eq!((server.buffered(), server.is_closed()), (0, true));
        assert!(server.read_until(b"\r\n").await.is_err());
    });
    // The client has received an answer behind the one that allows TLS.
    run(async {
        let (server, client) = streams();
        server.write("220 ready\r\n250 injected\r\n").await.unwrap();
        client.read_until(b"\r\n").await.unwrap();
        let error = client.start_tls_client(&connector, "localhost").await.unwrap_err();
        assert!(matches!(error, Error::NotIdle { .. }), "{error:?}");
        // Nothing has happened, and the program decides.
        assert!(!client.is_closed() && client.buffered() > 0);
    });
}

#[test]
fn a_stream_in_the_middle_of_something_does_not_change_over() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    run(async {
        let (server, client) = memory::pair(10);
        let reads = spawn({
            let server = server.clone();
            async move { server.read_until(b"\n").await }
        });
        turns(1).await;
        let error = server.start_tls_server(&acceptor).await.unwrap_err();
        assert_eq!(error.to_string(), "TLS cannot begin: a read is pending");
        drop(client.write("more than fits\n"));
        let error = client.start_tls_client(&connector, "localhost").await.unwrap_err();
        assert_eq!(error.to_string(), "TLS cannot begin: not all that was written has been sent");
        assert_eq!(reads.await.unwrap().unwrap(), "more than fits\n");
        client.shutdown_write().await.unwrap();
        let error = client.start_tls_client(&connector, "localhost").await.unwrap_err();
        assert_eq!(error.to_string(), "TLS cannot begin: its writing half has been shut down");
        let error = client.start_tls_client(&connector, "no name").await.unwrap_err();
        assert!(error.to_string().contains("\"no name\" is neither a DNS name nor an IP address"), "{error}");
        client.close();
        assert!(client.start_tls_client(&connector, "localhost").await.unwrap_err().is_closed());
        let (plain, _peer) = memory::pair(1);
        assert!(plain.wait_for_handshake().await.unwrap_err().to_string().contains("no TLS"));
        assert!(plain.tls_info().is_none());
    });
}

fn on_virtual_clock(test: impl AsyncFnOnce(VirtualClock)) {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
}

#[test]
fn a_peer_that_says_nothing_is_given_up_after_ten_seconds() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    on_virtual_clock(async |clock| {
        let (server, _silent) = memory::pair(100);
        let handshake = spawn(server.start_tls_server(&acceptor));
        // Nobody waits for this one.
        let (client, _silent) = memory::pair(100);
        drop(client.start_tls_client(&connector, "localhost"));
        clock.advance(Duration::from_millis(9_999)).await;
        assert!(!server.is_closed() && !client.is_closed());
        clock.advance(Duration::from_millis(1)).await;
        let error = handshake.await.unwrap().unwrap_err();
        assert!(error.is_timed_out() && error.is_closed(), "{error:?}");
        assert_eq!(error.to_string(), "the stream is closed: the TLS handshake has taken more than 10s");
        assert!(client.is_closed());
        assert!(client.wait_for_handshake().await.unwrap_err().is_timed_out());
    });
}

#[test]
fn a_client_gives_a_connection_and_its_handshake_one_limit() {
    let authority = Authority::new();
    let connector = authority.client().build().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    run(async {
        let client = TcpClient::new().timeout(Duration::from_millis(50));
        let error = client.connect_tls("127.0.0.1", port, &connector).await.unwrap_err();
        assert!(error.is_timed_out(), "{error:?}");
    });
}

#[test]
fn the_time_for_a_handshake_can_be_set_and_ends_with_it() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let acceptor = acceptor.handshake_timeout(Duration::from_secs(1));
    on_virtual_clock(async |clock| {
        let (server, _silent) = memory::pair(100);
        drop(server.start_tls_server(&acceptor));
        let (good, peer) = memory::pair(10_000);
        let (accepted, connected) = outcome((&good, &peer), (&acceptor, &connector), "localhost").await;
        accepted.and(connected).unwrap();
        clock.advance(Duration::from_secs(1)).await;
        assert!(server.is_closed() && !good.is_closed());
        clock.advance(Duration::from_secs(3600)).await;
        assert!(!good.is_closed() && !peer.is_closed());
    });
}

#[test]
fn a_connection_that_is_cut_off_is_told_from_one_that_has_ended() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let (ours, peer) = pair();
    let client = std::thread::spawn(move || {
        let name = "localhost".try_into().unwrap();
        let conn = rustls::ClientConnection::new(connector.config().clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(conn, peer);
        stream.write_all(b"the first half").unwrap();
        // Tickets that nobody has read would make this a reset.
        let mut go_on = [0];
        stream.read_exact(&mut go_on).unwrap();
        stream.sock.shutdown(Shutdown::Write).unwrap();
        stream.read(&mut go_on).unwrap_or(0)
    });
    run(async {
        ours.start_tls_server(&acceptor).await.unwrap();
        ours.read_bytes(4).await.unwrap();
        ours.write("x").await.unwrap();
        let error = ours.read_bytes(100).await.unwrap_err();
        let Error::Closed { cause: Some(cause) } = &error else { panic!("{error:?}") };
        assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.is_closed() && error.to_string().contains("close_notify"), "{error}");
        // What came is there, and the error stays.
        assert_eq!(ours.read_bytes(10).await.unwrap(), "first half");
        assert!(ours.read_until_close().await.is_err());
    });
    assert_eq!(client.join().unwrap(), 0);
}

#[test]
fn an_end_with_bytes_that_never_left_does_not_pass_for_an_orderly_one() {
    let authority = Authority::new();
    let both = authority.both();
    run(async {
        let (server, client) = memory::pair(50_000);
        let (accepted, connected) = outcome((&server, &client), (&both.0, &both.1), "localhost").await;
        accepted.and(connected).unwrap();
        drop(server.write(pattern(100_000)));
        server.close();
        let error = client.read_bytes(100_000).await.unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
        // Complete records arrive all the same.
        assert!(client.buffered() >= 32_768);
    });
}

#[test]
fn a_goodbye_that_does_not_fit_is_sent_later_or_given_up() {
    let authority = Authority::new();
    let both = authority.both();
    on_virtual_clock(async |clock| {
        for reads in [true, false] {
            // Its tickets fill the server's way to the client.
            let (server, client) = memory::pair(100);
            let (accepted, connected) = outcome((&server, &client), (&both.0, &both.1), "localhost").await;
            accepted.and(connected).unwrap();
            let open = Rc::new(());
            server.attach(open.clone());
            let closed = spawn(server.closed());
            server.close();
            closed.await.unwrap();
            assert_eq!(Rc::strong_count(&open), 2, "the transport is open behind the closed stream");
            if reads {
                assert_eq!(client.read_until_close().await.unwrap(), "");
            } else {
                clock.advance(Duration::from_secs(29)).await;
                assert_eq!(Rc::strong_count(&open), 2);
                clock.advance(Duration::from_secs(1)).await;
                assert!(client.read_until_close().await.unwrap_err().to_string().contains("cut off"));
            }
            assert_eq!(Rc::strong_count(&open), 1);
        }
    });
}

#[test]
fn bytes_that_were_tampered_with_break_the_connection_and_nothing_else() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    run(async {
        let (server, between) = memory::pair(100_000);
        let (other, client) = memory::pair(100_000);
        let tampers = Rc::new(Cell::new(false));
        spawn(pass_on(between.clone(), other.clone(), Rc::default()));
        spawn(pass_on(other, between, tampers.clone()));
        let (accepted, connected) = outcome((&server, &client), (&acceptor, &connector), "localhost").await;
        accepted.and(connected).unwrap();
        client.write("good ").await.unwrap();
        assert_eq!(server.read_bytes(5).await.unwrap(), "good ");
        tampers.set(true);
        client.write("bad").await.unwrap();
        let error = server.read_bytes(3).await.unwrap_err();
        assert!(error.is_closed() && error.to_string().contains("decrypt"), "{error}");
        let error = client.read_bytes(1).await.unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
    });
}

async fn pass_on(from: IOStream, to: IOStream, tampers: Rc<Cell<bool>>) {
    while let Ok(bytes) = from.read_some(10_000).await {
        let mut bytes = bytes.to_vec();
        if tampers.get() {
            *bytes.last_mut().unwrap() ^= 1;
        }
        drop(to.write(bytes));
    }
    to.close();
}

#[test]
fn a_connection_that_cannot_be_made_is_no_tls_error() {
    let connector = Authority::new().client().build().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(async {
        let client = TcpClient::new().family(Family::V4);
        let error = client.connect_tls("localhost", free.port(), &connector).await.unwrap_err();
        assert!(matches!(error, Error::ConnectHost(_)) && error.to_string().contains("refused"), "{error}");
        let error = client.connect_tls(common::NO_NAME, 443, &connector).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error}");
    });
}

#[test]
fn a_server_goes_on_after_bad_handshakes() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let options = ServerOptions::new().tls(acceptor.handshake_timeout(Duration::from_millis(300)));
    let server = TcpServer::with_options(async |stream: IOStream, _peer| stream.write("served\n").await, options);
    let handle = server.listen(("127.0.0.1", 0)).unwrap();
    let mut silent = TcpStream::connect(handle.local_addr()).unwrap();
    let mut plain = TcpStream::connect(handle.local_addr()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    run(async {
        let stream = IOStream::connect(handle.local_addr()).await.unwrap();
        stream.start_tls_client(&connector, "localhost").await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "served\n");
        while handle.connections() > 0 {
            turns(1).await;
        }
    });
    let mut received = Vec::new();
    assert_eq!(silent.read_to_end(&mut received).unwrap(), 0, "nothing is said to somebody silent");
    // An alert: unexpected or undecodable.
    plain.read_to_end(&mut received).unwrap();
    assert_eq!(received[..2], [21, 3]);
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let authority = Authority::new();
    let (one, other) = (authority.sign(&["one"]), authority.sign(&["other"]));
    let missing = authority.folder().join("missing.pem");
    let broken = authority.folder().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nabc").unwrap();
    let acceptor = |certificate, key| TlsAcceptor::ring().certificate(certificate, key).unwrap_err().to_string();
    let text = acceptor(&missing, &one.key);
    assert!(text.contains("missing.pem: No such file"), "{text}");
    let text = acceptor(&one.key, &one.key);
    assert!(text.contains("one.key: no certificate in it"), "{text}");
    let text = acceptor(&one.certificate, &one.certificate);
    assert!(text.contains("one.pem: no private key in it"), "{text}");
    let text = acceptor(&broken, &one.key);
    assert!(text.contains("broken.pem: its section CERTIFICATE has no end"), "{text}");
    let text = acceptor(&one.certificate, &other.key);
    assert!(text.contains("one.pem with") && text.contains("other.key: "), "{text}");
    let text = TlsConnector::ring().build().unwrap_err().to_string();
    assert!(text.contains("nobody is trusted"), "{text}");
}
