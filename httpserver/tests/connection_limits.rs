//! How many connections a server takes, in all and from one address.

mod common;

use common::{Client, run, until};
use httpserver::{HttpServer, Limits, Request, ServerHandle};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn listen(limits: Limits) -> ServerHandle {
    HttpServer::with_limits(async |_: Request| "served", limits).listen(("127.0.0.1", 0)).unwrap()
}

/// Takes all the room that there is, and finds the next client refused until one leaves.
async fn expect_room_for(server: &ServerHandle, count: usize) {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = Client::connect(server.local_addr()).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "served");
        clients.push(client);
    }
    for request in ["", GET] {
        let refused = Client::connect(server.local_addr()).await;
        refused.send(request).await;
        let answer = refused.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (503, Some("close")));
        assert_eq!((answer.header("retry-after"), answer.text()), (Some("1"), ""));
        assert_eq!(server.connections(), count, "a refused connection does not count");
    }
    // Those that were there first are none the worse.
    for client in &clients {
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "served");
    }
    clients.pop();
    until(|| server.connections() == count - 1).await;
    let next = Client::connect(server.local_addr()).await;
    next.send(GET).await;
    assert_eq!(next.answer().await.text(), "served");
}

#[test]
fn one_connection_more_than_the_limit_is_answered_503_and_closed() {
    run(async {
        expect_room_for(&listen(Limits::default().max_connections(3)), 3).await;
    });
}

#[test]
fn one_connection_more_from_an_address_than_its_limit_is_answered_503_and_closed() {
    run(async {
        expect_room_for(&listen(Limits::default().max_connections_per_address(2)), 2).await;
    });
}

#[test]
fn either_limit_of_0_is_none() {
    run(async {
        let server = listen(Limits::default().max_connections(0).max_connections_per_address(0));
        let mut clients = Vec::new();
        for count in 1..=50 {
            let client = Client::connect(server.local_addr()).await;
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), "served");
            clients.push(client);
            assert_eq!(server.connections(), count);
        }
    });
}

#[test]
fn clones_and_addresses_of_a_server_share_the_limit() {
    run(async {
        let server = HttpServer::with_limits(async |_: Request| "served", Limits::default().max_connections(1));
        let (one, other) = (server.listen(("127.0.0.1", 0)).unwrap(), server.clone().listen(("127.0.0.1", 0)).unwrap());
        let client = Client::connect(one.local_addr()).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "served");
        assert_eq!(Client::connect(other.local_addr()).await.answer().await.status(), 503);
    });
}
