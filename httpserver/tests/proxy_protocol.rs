//! HTTP behind proxies that speak the PROXY protocol.

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{Client, certs::Authority, run, run_virtual, status, turns, until};
use httpserver::{
    HttpServer, Limits, Request, ServerHandle, ServerOptions,
    iostream::{
        Peer, memory,
        proxy_protocol::{Header, ProxyProtocol},
    },
    spawn, threads,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn whose(request: Request) -> String {
    format!("{:?} {:?}", request.peer_addr(), request.remote_ip())
}

/// Trusts whoever connects from this machine.
fn proxied() -> ServerOptions {
    ServerOptions::new().proxy_protocol(ProxyProtocol::trusting(["127.0.0.0/8".parse().unwrap()]))
}

fn listen(options: ServerOptions) -> ServerHandle {
    HttpServer::with_options(whose, options).listen(("127.0.0.1", 0)).unwrap()
}

fn client(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 50_000).into()
}

fn header(client: SocketAddr) -> Header {
    Header::proxied(Peer::Inet(client), Peer::Inet(([203, 0, 113, 1], 80).into()))
}

#[test]
fn requests_are_those_of_the_client_in_the_header() {
    run(async {
        let server = listen(proxied());
        let expected = format!("{:?} {:?}", Some(client(1)), Some(client(1).ip()));
        for head in [header(client(1)).to_v1(), header(client(1)).to_v2().unwrap()] {
            let proxy = Client::connect(server.local_addr()).await;
            // In one piece with the request, and in two.
            proxy.send([&head[..], GET.as_bytes()].concat()).await;
            assert_eq!(proxy.answer().await.text(), expected);
            proxy.send(GET).await;
            assert_eq!(proxy.answer().await.text(), expected);
            let slow = Client::connect(server.local_addr()).await;
            for piece in head.chunks(7) {
                slow.send(piece).await;
                turns(1).await;
            }
            slow.send(GET).await;
            assert_eq!(slow.answer().await.text(), expected);
        }
    });
}

#[test]
fn a_proxy_may_speak_for_itself() {
    run(async {
        let server = listen(proxied());
        let proxy = Client::connect(server.local_addr()).await;
        let own = proxy.stream.local_addr().unwrap();
        proxy.send([&Header::local().to_v2().unwrap()[..], GET.as_bytes()].concat()).await;
        assert_eq!(proxy.answer().await.text(), format!("{:?} {:?}", Some(own), Some(own.ip())));
    });
}

#[test]
fn others_are_served_as_they_are_and_cannot_say_who_they_are() {
    run(async {
        let options = ServerOptions::new().proxy_protocol(ProxyProtocol::trusting(["192.0.2.0/24".parse().unwrap()]));
        let server = listen(options);
        let client_of_own = Client::connect(server.local_addr()).await;
        client_of_own.send(GET).await;
        assert!(client_of_own.answer().await.text().contains("127.0.0.1"));
        let liar = Client::connect(server.local_addr()).await;
        liar.send([&header(client(1)).to_v1()[..], GET.as_bytes()].concat()).await;
        assert_eq!(status(&liar.rest().await), 400);
    });
}

#[test]
fn a_proxy_without_a_header_is_served_nothing() {
    run(async {
        let server = listen(proxied());
        for bytes in [GET, "PROXY TCP4 nonsense\r\n", ""] {
            let proxy = Client::connect(server.local_addr()).await;
            until(|| server.connections() == 1).await;
            proxy.send(bytes).await;
            proxy.end().await;
            until(|| server.connections() == 0).await;
            // Reset or closed: in any case no answer.
            assert!(proxy.stream.read_until_close().await.is_ok_and(|rest| rest.is_empty()) || !bytes.is_empty());
        }
    });
}

#[test]
fn a_header_has_five_seconds() {
    run_virtual(async |clock| {
        let server = HttpServer::with_options(whose, proxied());
        let handle = server.handle();
        let (end, stream) = memory::pair(1000);
        // A peer without an address is trusted, so a header is expected of it.
        let _detached = spawn(async move { server.serve_stream(end, None).await });
        clock.advance(Duration::from_millis(4_999)).await;
        assert_eq!(handle.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        clock.advance(Duration::ZERO).await;
        assert_eq!(handle.connections(), 0);
        assert_eq!(stream.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn clients_count_by_their_own_addresses() {
    run(async {
        let server = listen(proxied().limits(Limits::default().max_connections_per_address(1)));
        let mut kept = Vec::new();
        for last in [1, 2, 3] {
            let proxy = Client::connect(server.local_addr()).await;
            proxy.send([&header(client(last)).to_v1()[..], GET.as_bytes()].concat()).await;
            assert_eq!(proxy.answer().await.status(), 200);
            kept.push(proxy);
        }
        let refused = Client::connect(server.local_addr()).await;
        refused.send([&header(client(2)).to_v1()[..], GET.as_bytes()].concat()).await;
        let answer = refused.answer().await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("1")));
        refused.expect_closed().await;
        refused.end().await;
        kept.remove(1).stream.close();
        until(|| server.connections() == 2).await;
        let next = Client::connect(server.local_addr()).await;
        next.send([&header(client(2)).to_v1()[..], GET.as_bytes()].concat()).await;
        assert_eq!(next.answer().await.status(), 200);
    });
}

#[test]
fn the_header_comes_before_tls() {
    let (acceptor, connector) = Authority::new().both();
    run(async {
        let server = listen(proxied().tls(acceptor));
        let proxy = Client::connect(server.local_addr()).await;
        proxy.send(header(client(1)).to_v1()).await;
        proxy.stream.start_tls_client(&connector, "localhost").await.unwrap();
        proxy.send(GET).await;
        assert!(proxy.answer().await.text().contains("192.0.2.1"));
    });
}

#[test]
fn connections_from_another_thread_are_asked_for_it_too() {
    let setup = || Ok(HttpServer::with_options(whose, proxied()));
    let threads = threads::hand_off(2, ("127.0.0.1", 0), setup).unwrap();
    run(async {
        for last in 1..5 {
            let proxy = Client::connect(threads.local_addr()).await;
            proxy.send([&header(client(last)).to_v1()[..], GET.as_bytes()].concat()).await;
            assert!(proxy.answer().await.text().contains(&format!("192.0.2.{last}:50000")));
        }
        threads.drain(Duration::from_secs(10)).await.unwrap();
    });
    threads.join().unwrap();
}
