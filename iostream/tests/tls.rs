//! TLS over every kind of stream: what goes well.

mod common;

use std::{
    cell::Cell,
    fs,
    future::{Future, poll_fn},
    io::{Read, Write},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    thread,
    time::Duration,
};

use common::{Trickle, certs::Authority, kinds, pattern, run, streams, turns};
use iostream::{
    Error, IOStream, ServerOptions, TcpClient, TcpServer, memory,
    netutil::Family,
    spawn,
    tls::{Certificates, TlsAcceptor, TlsConnector, TlsInfo, rustls},
};

/// Lets both sides shake hands.
async fn handshake(server: &IOStream, client: &IOStream, (acceptor, connector): &(TlsAcceptor, TlsConnector)) {
    let accepted = spawn(server.start_tls_server(acceptor));
    client.start_tls_client(connector, "localhost").await.unwrap();
    accepted.await.unwrap().unwrap();
}

/// Two ends with TLS, in memory.
async fn tls_pair(capacity: usize) -> (IOStream, IOStream) {
    let (server, client) = memory::pair(capacity);
    let authority = Authority::new();
    handshake(&server, &client, &authority.both()).await;
    (server, client)
}

/// Every kind of transport, as two connected streams.
fn transports() -> Vec<(&'static str, (IOStream, IOStream))> {
    let (trickling, smooth) = memory::pair(1000);
    vec![
        ("tcp", streams()),
        ("unix", kinds::unix()),
        ("memory", memory::pair(64 * 1024)),
        ("one byte of memory", memory::pair(1)),
        ("custom", (IOStream::from_custom(Trickle::new(trickling, 7)), smooth)),
    ]
}

#[test]
fn every_transport_carries_tls() {
    let authority = Authority::new();
    let both = authority.both();
    for (kind, (server, client)) in transports() {
        let data = pattern(if kind == "one byte of memory" { 3000 } else { 300_000 });
        run(async {
            handshake(&server, &client, &both).await;
            drop(client.write("hello\n"));
            assert_eq!(server.read_until(b"\n").await.unwrap(), "hello\n", "over {kind}");
            drop(server.write(&data));
            assert!(client.read_bytes(data.len()).await.unwrap() == data, "over {kind}");
            spawn(async move { client.shutdown_write().await });
            assert_eq!(server.read_until_close().await.unwrap(), "", "over {kind}");
        });
    }
}

#[test]
fn tls_carries_tls() {
    let authority = Authority::new();
    let both = authority.both();
    run(async {
        let (server, client) = streams();
        handshake(&server, &client, &both).await;
        handshake(&server, &client, &both).await;
        client.write(pattern(100_000)).await.unwrap();
        client.close();
        assert!(server.read_until_close().await.unwrap() == pattern(100_000));
    });
}

#[test]
fn what_was_negotiated_can_be_asked_for() {
    let authority = Authority::new();
    let identity = authority.sign(&["client"]);
    let acceptor = authority.server().alpn(["h2", "http/1.1"]).require_client_certificates(authority.root()).unwrap();
    let connector = authority.client().alpn(["http/1.1"]).certificate(identity.certificate, identity.key).unwrap();
    run(async {
        let (server, client) = streams();
        assert!(server.tls_info().is_none());
        handshake(&server, &client, &(acceptor.build().unwrap(), connector.build().unwrap())).await;
        let (of_server, of_client) = (server.tls_info().unwrap(), client.tls_info().unwrap());
        for info in [&of_server, &of_client] {
            assert_eq!(info.alpn_protocol.as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(info.version, rustls::ProtocolVersion::TLSv1_3);
            assert_eq!(info.peer_certificates.len(), 1);
            assert!(!info.resumed);
        }
        assert_eq!(of_server.server_name.as_deref(), Some("localhost"));
        assert_ne!(of_server.peer_certificates, of_client.peer_certificates);
        // The connection beneath is still there to be asked.
        assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
        server.set_nodelay(true).unwrap();
        server.close();
        assert!(server.tls_info().is_none());
    });
}

#[test]
fn a_client_without_certificate_is_served_where_it_is_only_asked() {
    let authority = Authority::new();
    let acceptor = authority.server().request_client_certificates(authority.root()).unwrap().build().unwrap();
    let connector = authority.client().build().unwrap();
    run(async {
        let (server, client) = streams();
        handshake(&server, &client, &(acceptor, connector)).await;
        assert!(server.tls_info().unwrap().peer_certificates.is_empty());
    });
}

/// The certificate that a server shows to those who ask for `name`.
async fn shown(acceptor: &TlsAcceptor, connector: &TlsConnector, name: &str) -> iostream::Result<Vec<u8>> {
    let (server, client) = memory::pair(10_000);
    spawn(server.start_tls_server(acceptor));
    client.start_tls_client(connector, name).await?;
    Ok(client.tls_info().unwrap().peer_certificates[0].to_vec())
}

#[test]
fn each_name_has_its_certificate() {
    let authority = Authority::new();
    let mut acceptor = TlsAcceptor::ring();
    for names in [&["first.example", "localhost"][..], &["*.wild.example"], &["Exact.wild.example"]] {
        let identity = authority.sign(names);
        acceptor = acceptor.certificate(identity.certificate, identity.key).unwrap();
    }
    let (acceptor, connector) = (acceptor.build().unwrap(), authority.client().build().unwrap());
    run(async {
        let [first, wild, exact] = ["first.example", "some.wild.example", "exact.wild.example"];
        let first = shown(&acceptor, &connector, first).await.unwrap();
        let wild = shown(&acceptor, &connector, wild).await.unwrap();
        let exact = shown(&acceptor, &connector, exact).await.unwrap();
        assert!(first != wild && wild != exact && exact != first);
        assert_eq!(shown(&acceptor, &connector, "localhost").await.unwrap(), first);
        // Others see the first one, and refuse it.
        assert!(matches!(shown(&acceptor, &connector, "a.b.wild.example").await, Err(Error::Tls { .. })));
        assert!(matches!(shown(&acceptor, &connector, "127.0.0.1").await, Err(Error::Tls { .. })));
    });
}

#[test]
fn certificates_are_replaced_while_the_server_runs() {
    let authority = Authority::new();
    let (acceptor, connector) = (authority.server().build().unwrap(), authority.client().build().unwrap());
    let certificates = acceptor.certificates().unwrap();
    run(async {
        let (server, client) = streams();
        handshake(&server, &client, &(acceptor.clone(), connector.clone())).await;
        let old = client.tls_info().unwrap().peer_certificates[0].to_vec();
        let identity = authority.sign(&["localhost"]);
        // A client that resumes its session is shown none.
        let fresh = || authority.client().build().unwrap();
        assert!(shown(&acceptor, &fresh(), "localhost").await.unwrap() == old, "nothing was reloaded yet");
        certificates.reload().unwrap();
        let new = shown(&acceptor, &fresh(), "localhost").await.unwrap();
        assert!(new != old);
        // A file that is not ready leaves everything as it is.
        fs::write(&identity.key, "half a k").unwrap();
        let error = certificates.reload().unwrap_err().to_string();
        assert!(error.contains("localhost.key: no private key in it"), "{error}");
        assert!(shown(&acceptor, &fresh(), "localhost").await.unwrap() == new);
        // Who was connected stays so.
        client.write("still here\n").await.unwrap();
        assert_eq!(server.read_until(b"\n").await.unwrap(), "still here\n");
    });
}

#[test]
fn a_server_without_certificates_refuses() {
    let acceptor = TlsAcceptor::ring().build().unwrap();
    let authority = Authority::new();
    let connector = authority.client().build().unwrap();
    run(async {
        assert!(matches!(shown(&acceptor, &connector, "localhost").await, Err(Error::Tls { .. })));
        let identity = authority.sign(&["localhost"]);
        acceptor.certificates().unwrap().add_files(identity.certificate, identity.key).unwrap();
        shown(&acceptor, &connector, "localhost").await.unwrap();
    });
}

/// What the second of two connections negotiates.
async fn second_connection(both: &(TlsAcceptor, TlsConnector)) -> (TlsInfo, TlsInfo) {
    let mut infos = None;
    for _ in 0..2 {
        let (server, client) = streams();
        handshake(&server, &client, both).await;
        // A ticket comes behind the handshake.
        server.write("x").await.unwrap();
        client.read_bytes(1).await.unwrap();
        infos = Some((server.tls_info().unwrap(), client.tls_info().unwrap()));
    }
    infos.unwrap()
}

#[test]
fn a_second_connection_resumes_the_session() {
    let authority = Authority::new();
    let identity = authority.sign(&["localhost"]);
    let provider = rustls::crypto::ring::default_provider();
    // Without tickets of its own, it remembers the sessions.
    let remembering = TlsAcceptor::builder(provider.into()).certificate(identity.certificate, identity.key).unwrap();
    for acceptor in [authority.server(), remembering] {
        let both = (acceptor.build().unwrap(), authority.client().build().unwrap());
        let (of_server, of_client) = run(second_connection(&both));
        assert!(of_server.resumed && of_client.resumed);
        assert_eq!(of_client.peer_certificates.len(), 1);
    }
}

#[test]
fn tls_1_2_is_spoken_and_resumed() {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let identity = authority.sign(&["localhost"]);
    let certificates = Certificates::new(provider.clone());
    certificates.add_files(identity.certificate, identity.key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    let both = (TlsAcceptor::new(config.into()), authority.client().build().unwrap());
    let (of_server, of_client) = run(second_connection(&both));
    assert_eq!(of_client.version, rustls::ProtocolVersion::TLSv1_2);
    assert!(of_server.resumed && of_client.resumed);
}

#[test]
fn a_conversation_changes_over_with_all_its_handles() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    run(async {
        let (server, client) = streams();
        let (closed, guard) = (Rc::new(Cell::new(false)), Rc::new(()));
        server.set_close_callback({
            let closed = closed.clone();
            move || closed.set(true)
        });
        server.attach(guard.clone());
        let handle = server.clone();
        client.write("STARTTLS\r\n").await.unwrap();
        server.read_until(b"\r\n").await.unwrap();
        server.write("220 ready\r\n").await.unwrap();
        client.read_until(b"\r\n").await.unwrap();
        handshake(&server, &client, &(acceptor, connector)).await;
        client.write("secret\r\n").await.unwrap();
        assert_eq!(handle.read_until(b"\r\n").await.unwrap(), "secret\r\n");
        assert_eq!((closed.get(), Rc::strong_count(&guard)), (false, 2));
        client.close();
        handle.closed().await;
        turns(1).await;
        assert_eq!((closed.get(), Rc::strong_count(&guard)), (true, 1));
    });
}

#[test]
fn a_handshake_that_came_with_the_header_before_it_is_taken_up() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    run(async {
        let (server, client) = memory::pair(10_000);
        client.write("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").await.unwrap();
        let connected = spawn(client.start_tls_client(&connector, "localhost"));
        server.read_until(b"\r\n").await.unwrap();
        assert!(server.buffered() > 0, "the client's first flight has come along");
        server.start_tls_server(&acceptor).await.unwrap();
        connected.await.unwrap().unwrap();
        assert_eq!(server.buffered(), 0);
    });
}

#[test]
fn reads_and_writes_drive_a_handshake_that_nobody_waits_for() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    for (kind, (server, client)) in transports() {
        run(async {
            drop(server.start_tls_server(&acceptor));
            drop(client.start_tls_client(&connector, "localhost"));
            // The client only writes, the server only reads.
            drop(client.write("early "));
            drop(client.write("words\n"));
            assert_eq!(server.read_until(b"\n").await.unwrap(), "early words\n", "over {kind}");
            client.wait_for_handshake().await.unwrap();
            server.wait_for_handshake().await.unwrap();
        });
    }
}

#[test]
fn any_number_of_tasks_may_wait_for_a_handshake_and_again_afterwards() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    for (kind, (server, client)) in transports() {
        run(async {
            let first = spawn(server.start_tls_server(&acceptor));
            let others: Vec<_> = (0..3).map(|_| spawn(server.wait_for_handshake())).collect();
            turns(2).await;
            assert!(server.tls_info().is_none() && !first.is_finished(), "over {kind}");
            client.start_tls_client(&connector, "localhost").await.unwrap();
            for waiting in others.into_iter().chain([first]) {
                waiting.await.unwrap().unwrap();
            }
            server.wait_for_handshake().await.unwrap();
            assert!(server.tls_info().is_some(), "over {kind}");
        });
    }
}

#[test]
fn a_server_serves_every_connection_by_tls() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let echo = async |stream: IOStream, _peer| {
        // The handshake is over before the handler is called.
        assert!(stream.tls_info().is_some());
        let line = stream.read_until(b"\n").await?;
        stream.write(line).await
    };
    let server = TcpServer::with_options(echo, ServerOptions::new().tls(acceptor));
    let handle = server.listen(("127.0.0.1", 0)).unwrap();
    run(async {
        let port = handle.local_addr().port();
        let client = TcpClient::new().family(Family::V4);
        let stream = client.connect_tls("localhost", port, &connector).await.unwrap();
        stream.write("round trip\n").await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "round trip\n");
        // By its address it is not whom the certificate names.
        let error = client.connect_tls("127.0.0.1", port, &connector).await.unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
        handle.drain(Duration::from_secs(10)).await;
    });
}

#[test]
fn a_slow_reader_holds_its_writer_up() {
    run(async {
        let (server, client) = tls_pair(1000).await;
        let data = pattern(1 << 20);
        let mut write = pin!(server.write(&data[..]));
        turns(5).await;
        assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await);
        assert!(server.pending_write() > data.len() - 70_000, "the session took more than its buffer");
        let sent = server.bytes_sent();
        assert!(sent < 1100, "{sent} bytes cannot have left yet");
        let received = spawn({
            let client = client.clone();
            async move { client.read_bytes(1 << 20).await }
        });
        write.await.unwrap();
        assert!(received.await.unwrap().unwrap() == data);
        assert_eq!((server.bytes_sent(), server.pending_write()), (1 << 20, 0));
    });
}

#[test]
fn progress_is_seen_while_a_record_leaves() {
    run(async {
        let (server, client) = tls_pair(1000).await;
        drop(server.write(pattern(16_000)));
        turns(2).await;
        let mut seen = vec![server.bytes_sent()];
        // Nothing can be read before the record is complete, but it is on its way.
        let received = spawn(async move { client.read_bytes(16_000).await.map(|bytes| bytes.len()) });
        while server.pending_write() > 0 {
            turns(1).await;
            seen.push(server.bytes_sent());
        }
        assert!(seen.len() > 10 && seen.is_sorted(), "{seen:?}");
        assert_eq!(received.await.unwrap().unwrap(), 16_000);
    });
}

#[test]
fn a_polled_write_begins_on_nothing_that_it_does_not_take() {
    run(async {
        for limit in [100, 70_000] {
            let (server, client) = tls_pair(1000).await;
            server.set_max_write_buffer_size(limit);
            let reader = spawn(async move { client.read_until_close().await });
            let mut expected = Vec::new();
            for byte in 0..10 {
                // More is offered than may be queued, and something else each time.
                let offered = [byte; 200_000];
                let taken = poll_fn(|cx| server.poll_write(cx, &offered)).await.unwrap();
                expected.extend_from_slice(&offered[..taken]);
            }
            server.shutdown_write().await.unwrap();
            assert!(reader.await.unwrap().unwrap() == expected);
        }
    });
}

#[test]
fn one_side_ends_and_the_other_goes_on() {
    run(async {
        for (server, client) in [streams(), kinds::unix(), memory::pair(100)] {
            let authority = Authority::new();
            handshake(&server, &client, &authority.both()).await;
            server.set_half_open(true);
            client.set_half_open(true);
            let ended = spawn(server.peer_closed());
            client.write("question").await.unwrap();
            client.shutdown_write().await.unwrap();
            assert!(client.write("more").await.unwrap_err().is_closed());
            assert_eq!(server.read_until_close().await.unwrap(), "question");
            ended.await.unwrap();
            drop(server.write(pattern(100_000)));
            drop(server);
            assert!(client.read_until_close().await.unwrap() == pattern(100_000));
        }
    });
}

#[test]
fn both_sides_send_at_once() {
    run(async {
        let (server, client) = tls_pair(5000).await;
        let data = pattern(200_000);
        drop(server.write(data.clone()));
        drop(client.write(data.clone()));
        let reader = client.clone();
        let of_client = spawn(async move { reader.read_bytes(200_000).await });
        assert!(server.read_bytes(200_000).await.unwrap() == data);
        assert!(of_client.await.unwrap().unwrap() == data);
    });
}

#[test]
fn a_peer_renews_its_keys() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let (ours, peer) = common::pair();
    let client = thread::spawn(move || {
        let name = "localhost".try_into().unwrap();
        let conn = rustls::ClientConnection::new(connector.config().clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(conn, peer);
        let mut answer = [0; 10];
        for _ in 0..3 {
            stream.write_all(b"a message\n").unwrap();
            stream.read_exact(&mut answer).unwrap();
            stream.conn.refresh_traffic_keys().unwrap();
        }
        answer
    });
    run(async {
        ours.start_tls_server(&acceptor).await.unwrap();
        for _ in 0..3 {
            let line = ours.read_until(b"\n").await.unwrap();
            ours.write(line).await.unwrap();
        }
        // The client leaves without a close_notify.
        assert!(ours.read_until_close().await.is_err());
    });
    assert_eq!(&client.join().unwrap(), b"a message\n");
}
