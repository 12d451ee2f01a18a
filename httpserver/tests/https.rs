//! HTTP over TLS.

mod common;

use std::{
    fs::{self, File},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use common::{Client, Event, certs::Authority, run, run_virtual, status, turns, until};
use httpserver::{
    Body, HttpServer, IOStream, Limits, Protocol, Request, Response, Result, ServerHandle, ServerOptions, Service,
    iostream::{
        ServerOptions as StreamOptions, TcpServer,
        ioloop::VirtualClock,
        memory,
        tls::{TlsAcceptor, TlsConnector, rustls::ProtocolVersion},
    },
    serve_stream, spawn, threads,
};

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn listen(service: impl Service, acceptor: TlsAcceptor) -> ServerHandle {
    let server = HttpServer::with_options(service, ServerOptions::new().tls(acceptor));
    server.listen(("127.0.0.1", 0)).unwrap()
}

async fn connect(addr: SocketAddr, connector: &TlsConnector) -> Client {
    let client = Client::connect(addr).await;
    client.stream.start_tls_client(connector, "localhost").await.unwrap();
    client
}

async fn protocol(request: Request) -> String {
    format!("{} {}", request.protocol(), request.path())
}

#[test]
fn requests_are_answered_over_tls() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let service = async |mut request: Request| -> Result<Response> {
            let info = request.tls_info().expect("it came over TLS");
            assert_eq!((info.version, info.server_name.as_deref()), (ProtocolVersion::TLSv1_3, Some("localhost")));
            assert_eq!(request.protocol(), Protocol::Https);
            assert!(info.peer_certificates.is_empty());
            assert!(request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()));
            Ok(Response::bytes(request.bytes().await?))
        };
        let server = listen(service, acceptor);
        let client = connect(server.local_addr(), &connector).await;
        for body in ["", "hello", &"long ".repeat(100_000)] {
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            assert!(client.answer().await.text() == body);
        }
        client.send(GET.repeat(50)).await;
        for _ in 0..50 {
            assert_eq!(client.answer().await.text(), "");
        }
        client.send(LAST).await;
        assert_eq!(client.answer().await.header("connection"), Some("close"));
        // An orderly end, by close_notify.
        client.expect_closed().await;
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_file_is_read_and_encrypted_and_one_that_is_cut_short_ends_the_connection() {
    let path = std::env::temp_dir().join(format!("https-file-{}", std::process::id()));
    let content: Vec<u8> = (0..500_000).map(|at| (at % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    fs::remove_file(path).unwrap();
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let file = Rc::new(file);
        let server = listen(
            {
                let file = Rc::clone(&file);
                async move |request: Request| -> Result<Response> {
                    let body = Body::file(Rc::clone(&file), 1..)?;
                    if request.path() == "/cut" {
                        file.set_len(300_000).unwrap();
                    }
                    Ok(Response::bytes(body))
                }
            },
            acceptor,
        );
        let client = connect(server.local_addr(), &connector).await;
        client.send(GET.repeat(2)).await;
        for _ in 0..2 {
            assert!(client.answer().await.body == content[1..]);
        }
        client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 200);
        let mut received = 0;
        while let Ok(piece) = client.stream.read_some(1 << 20).await {
            received += piece.len();
        }
        assert!(received < 300_000, "{received}");
    });
}

#[test]
fn a_plain_connection_is_one_of_http() {
    run(async {
        let service = async |request: Request| {
            assert!(request.tls_info().is_none());
            protocol(request).await
        };
        let client = Client::connect(common::serve(service)).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "http /x");
    });
}

#[test]
fn streams_that_have_tls_already_are_served_as_https() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let service = Rc::new(protocol);
        let front = TcpServer::with_options(
            async move |stream: IOStream, peer| {
                serve_stream(stream, Some(peer), Rc::clone(&service)).await;
                Ok(())
            },
            StreamOptions::new().tls(acceptor),
        );
        let client = connect(front.listen(("127.0.0.1", 0)).unwrap().local_addr(), &connector).await;
        client.send(LAST).await;
        assert!(client.rest().await.ends_with("\r\n\r\nhttps /x"));
    });
}

#[test]
fn http_1_1_is_what_clients_are_offered() {
    let authority = Authority::new();
    run(async {
        let server = listen(protocol, authority.server().build().unwrap());
        let named = listen(protocol, authority.server().alpn(["http/1.1", "http/1.0"]).build().unwrap());
        for (server, offered, agreed) in [
            (&server, &["h2", "http/1.1"][..], Some("http/1.1")),
            (&server, &["http/1.1"], Some("http/1.1")),
            (&server, &[], None),
            (&server, &["h2"], Some("")),
            (&named, &["http/1.0", "h2"], Some("http/1.0")),
        ] {
            let connector = authority.client().alpn(offered).build().unwrap();
            let client = Client::connect(server.local_addr()).await;
            let handshake = client.stream.start_tls_client(&connector, "localhost").await;
            if agreed == Some("") {
                let error = handshake.unwrap_err().to_string();
                assert!(error.contains("NoApplicationProtocol"), "{error}");
                continue;
            }
            handshake.unwrap();
            let info = client.stream.tls_info().unwrap();
            assert_eq!(info.alpn_protocol.as_deref(), agreed.map(str::as_bytes), "{offered:?}");
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), "https /x");
        }
    });
}

#[test]
fn certificates_of_clients_can_be_read() {
    let authority = Authority::new();
    run(async {
        let acceptor = authority.server().request_client_certificates(authority.root()).unwrap().build().unwrap();
        let shown = async |request: Request| request.tls_info().unwrap().peer_certificates.len().to_string();
        let server = listen(shown, acceptor);
        let member = authority.sign("member");
        let member = authority.client().certificate(member.certificate, member.key).unwrap().build().unwrap();
        for (connector, count) in [(member, "1"), (authority.client().build().unwrap(), "0")] {
            let client = connect(server.local_addr(), &connector).await;
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), count);
        }
    });
}

#[test]
fn certificates_are_replaced_while_connections_go_on() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let certificates = acceptor.certificates().unwrap().clone();
    run(async {
        let addr = listen(protocol, acceptor).local_addr();
        let shown = |client: &Client| client.stream.tls_info().unwrap().peer_certificates[0].to_vec();
        let before = connect(addr, &connector).await;
        authority.sign("localhost");
        certificates.reload().unwrap();
        // Another connector: it would resume the session, and with it the certificate.
        let after = connect(addr, &authority.client().build().unwrap()).await;
        assert_ne!(shown(&before), shown(&after));
        for client in [before, after] {
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), "https /x");
        }
    });
}

#[test]
fn plain_http_is_told_that_the_port_speaks_https() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let server = listen(protocol, acceptor);
        for request in [GET.to_owned(), "P".to_owned(), format!("POST / HTTP/1.1\r\n\r\n{}", "x".repeat(200_000))] {
            let client = Client::connect(server.local_addr()).await;
            client.send(&request).await;
            let answer = client.rest().await;
            assert_eq!((status(&answer), common::header(&answer, "connection")), (400, Some("close")), "{answer}");
            assert!(answer.ends_with("plain HTTP was sent to a port for HTTPS\n"), "{answer}");
            client.end().await;
        }
        let client = connect(server.local_addr(), &connector).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "https /x");
        until(|| server.connections() == 1).await;
    });
}

#[test]
fn a_handshake_that_is_left_or_makes_no_sense_ends_its_connection() {
    let (acceptor, _) = Authority::new().both();
    run(async {
        let server = listen(protocol, acceptor);
        // Nothing at all; a record that is not complete; one that is none.
        for bytes in [&b""[..], b"\x16\x03\x01\0\x05hel", b"\x16\x03\x01\0\x05hello", &[0; 20]] {
            for ends in [true, false] {
                let client = Client::connect(server.local_addr()).await;
                until(|| server.connections() == 1).await;
                client.send(bytes).await;
                turns(2).await;
                if ends {
                    client.end().await
                } else {
                    client.stream.close()
                }
                until(|| server.connections() == 0).await;
            }
        }
    });
}

/// An end of a pair at whose other end a server expects TLS.
fn serve_pair(acceptor: TlsAcceptor) -> (Client, ServerHandle) {
    let server = HttpServer::with_options(protocol, ServerOptions::new().tls(acceptor));
    let (end, stream) = memory::pair(1_000_000);
    let handle = server.handle();
    let _detached = spawn(async move { server.serve_stream(end, None).await });
    stream.set_half_open(true);
    (Client { stream }, handle)
}

async fn settle(clock: &VirtualClock) {
    clock.advance(Duration::ZERO).await;
}

#[test]
fn a_handshake_has_ten_seconds_in_all() {
    let (acceptor, connector) = Authority::new().both();
    run_virtual(async |clock| {
        for first in [&b""[..], b"\x16"] {
            let (client, server) = serve_pair(acceptor.clone());
            settle(&clock).await;
            clock.advance(Duration::from_secs(9)).await;
            client.send(first).await;
            settle(&clock).await;
            clock.advance(Duration::from_millis(999)).await;
            assert_eq!(server.connections(), 1, "{first:?}");
            clock.advance(Duration::from_millis(1)).await;
            settle(&clock).await;
            assert_eq!(server.connections(), 0, "{first:?}");
            client.expect_closed().await;
        }
        // The time is the handshake's alone.
        let (client, server) = serve_pair(acceptor.clone().handshake_timeout(Duration::from_secs(1)));
        client.stream.start_tls_client(&connector, "localhost").await.unwrap();
        clock.advance(Duration::from_secs(60)).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "https /x");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_connection_beyond_the_limit_gets_no_answer_in_plaintext() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let options = ServerOptions::new().limits(Limits::default().max_connections(1)).tls(acceptor);
        let server = HttpServer::with_options(protocol, options).listen(("127.0.0.1", 0)).unwrap();
        let client = connect(server.local_addr(), &connector).await;
        let refused = Client::connect(server.local_addr()).await;
        refused.expect_closed().await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "https /x");
    });
}

#[test]
fn a_drain_waits_for_handshakes_and_cuts_them_at_its_deadline() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        for (goes_on, limit) in [(true, Duration::from_secs(3600)), (false, Duration::from_millis(20))] {
            let server = listen(protocol, acceptor.clone());
            let client = Client::connect(server.local_addr()).await;
            until(|| server.connections() == 1).await;
            turns(1).await;
            let draining = spawn(server.drain(limit));
            until(|| server.local_addrs().is_empty()).await;
            turns(2).await;
            if goes_on {
                let handshake = client.stream.start_tls_client(&connector, "localhost");
                // Sent together with the end of the handshake.
                client.send(GET).await;
                handshake.await.unwrap();
                assert_eq!(client.answer().await.header("connection"), Some("close"));
            }
            client.expect_closed().await;
            let report = draining.await.unwrap();
            assert_eq!((report.idle, report.finished, report.cut), (0, goes_on.into(), (!goes_on).into()));
        }
    });
}

#[test]
fn a_service_that_waits_is_dropped_when_its_client_goes_over_tls_too() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let (called, dropped) = (Event::new(), Event::new());
        let server = listen(
            {
                let (called, dropped) = (called.clone(), dropped.clone());
                async move |request: Request| {
                    let _dropped = common::SetOnDrop(dropped.clone());
                    request.cancel_on_disconnect();
                    called.set();
                    std::future::pending::<&str>().await
                }
            },
            acceptor,
        );
        let client = connect(server.local_addr(), &connector).await;
        client.send(GET).await;
        called.wait().await;
        client.stream.close();
        dropped.wait().await;
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn threads_share_one_acceptor() {
    let authority = Authority::new();
    let (acceptor, connector) = authority.both();
    let setup = move || Ok(HttpServer::with_options(protocol, ServerOptions::new().tls(acceptor.clone())));
    for threads in [
        threads::serve(2, ("127.0.0.1", 0), setup.clone()).unwrap(),
        threads::hand_off(2, ("127.0.0.1", 0), setup.clone()).unwrap(),
    ] {
        run(async {
            for _ in 0..8 {
                let client = connect(threads.local_addr(), &connector).await;
                client.send(LAST).await;
                assert!(client.rest().await.ends_with("\r\n\r\nhttps /x"));
            }
            threads.drain(Duration::from_secs(10)).await.unwrap();
        });
        threads.join().unwrap();
    }
}
