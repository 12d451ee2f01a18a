//! Clients that leave while a service is at work.

mod common;

use std::net::SocketAddr;

use common::{Client, Event, SetOnDrop, run, serve, turns, until};
use httpserver::{Request, Response};

const GET: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

/// The events of a service that waits, one after the other.
#[derive(Clone, Default)]
struct Events {
    called: Event,
    gone: Event,
    released: Event,
    ended: Event,
}

/// Answers /hello; for other paths tells when the client has gone, and answers when it is let go.
fn serve_waiting(events: &Events, cancels: bool) -> SocketAddr {
    let events = events.clone();
    serve(async move |request: Request| {
        if request.path() == "/hello" {
            return "hello";
        }
        let _ended = SetOnDrop(events.ended.clone());
        if cancels {
            request.cancel_on_disconnect();
        } else {
            assert!(!request.is_client_gone());
        }
        events.called.set();
        if !cancels {
            request.client_gone().await;
            assert!(request.is_client_gone());
            events.gone.set();
        }
        events.released.wait().await;
        "waited"
    })
}

/// Makes the client leave by a reset, as TCP does when received bytes are left unread.
async fn reset(client: Client) {
    // The answer to HELLO lies unread in the client's kernel.
    client.stream.close();
}

#[test]
fn a_client_that_closes_is_noticed() {
    run(async {
        let events = Events::default();
        let client = Client::connect(serve_waiting(&events, false)).await;
        client.send(GET).await;
        events.called.wait().await;
        assert!(!events.gone.is_set());
        client.stream.close();
        events.gone.wait().await;
        events.released.set();
        events.ended.wait().await;
    });
}

#[test]
fn an_end_of_input_is_noticed_behind_unread_bytes() {
    run(async {
        for extra in ["", HELLO, "garbage"] {
            let events = Events::default();
            let client = Client::connect(serve_waiting(&events, false)).await;
            client.send(GET).await;
            events.called.wait().await;
            client.send(extra).await;
            client.end().await;
            events.gone.wait().await;
            // It had only ended its side, and still reads.
            events.released.set();
            assert_eq!(client.answer().await.text(), "waited");
            if extra == HELLO {
                assert_eq!(client.answer().await.text(), "hello");
            }
        }
    });
}

#[test]
fn a_reset_is_noticed_behind_unread_bytes() {
    run(async {
        let events = Events::default();
        let client = Client::connect(serve_waiting(&events, false)).await;
        client.send([HELLO, GET, HELLO].concat()).await;
        events.called.wait().await;
        // The first answer leaves when the service begins to wait.
        turns(1).await;
        client.send("more that nobody reads").await;
        reset(client).await;
        events.gone.wait().await;
        events.released.set();
        events.ended.wait().await;
    });
}

#[test]
fn the_news_can_be_waited_for_elsewhere() {
    run(async {
        let (called, gone) = (Event::new(), Event::new());
        let addr = serve({
            let (called, gone) = (called.clone(), gone.clone());
            async move |request: Request| {
                let client_gone = request.client_gone();
                let _detached = httpserver::spawn({
                    let gone = gone.clone();
                    async move {
                        client_gone.await;
                        gone.set();
                    }
                });
                called.set();
                std::future::pending::<&str>().await
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        called.wait().await;
        client.end().await;
        gone.wait().await;
    });
}

#[test]
fn a_client_that_stays_is_not_gone() {
    run(async {
        let addr = serve(async |request: Request| {
            let mut gone = std::pin::pin!(request.client_gone());
            for _ in 0..10 {
                assert!(httpserver::timeout(std::time::Duration::from_millis(1), gone.as_mut()).await.is_err());
            }
            "still here"
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "still here");
        assert_eq!(client.answer().await.text(), "still here");
    });
}

#[test]
fn a_future_that_asked_for_it_is_dropped_when_the_client_closes() {
    run(async {
        for extra in ["", HELLO, "garbage"] {
            let events = Events::default();
            let client = Client::connect(serve_waiting(&events, true)).await;
            client.send(GET).await;
            events.called.wait().await;
            client.send(extra).await;
            assert!(!events.ended.is_set());
            client.end().await;
            events.ended.wait().await;
            assert!(!events.released.is_set());
        }
    });
}

#[test]
fn another_task_may_ask_for_it_later() {
    run(async {
        let (called, ask, ended) = (Event::new(), Event::new(), Event::new());
        let addr = serve({
            let (called, ask, ended) = (called.clone(), ask.clone(), ended.clone());
            async move |request: Request| {
                let _ended = SetOnDrop(ended.clone());
                let ask = ask.clone();
                let _detached = httpserver::spawn(async move {
                    ask.wait().await;
                    request.cancel_on_disconnect();
                });
                called.set();
                std::future::pending::<&str>().await
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        called.wait().await;
        turns(1).await;
        ask.set();
        turns(2).await;
        assert!(!ended.is_set());
        client.end().await;
        ended.wait().await;
    });
}

#[test]
fn a_future_that_asked_for_it_is_dropped_on_a_reset() {
    run(async {
        let events = Events::default();
        let client = Client::connect(serve_waiting(&events, true)).await;
        client.send([HELLO, GET].concat()).await;
        events.called.wait().await;
        turns(1).await;
        client.send("more that nobody reads").await;
        reset(client).await;
        events.ended.wait().await;
    });
}

#[test]
fn asking_for_it_holds_for_one_request() {
    run(async {
        let (called, gate, ended) = (Event::new(), Event::new(), Event::new());
        let addr = serve({
            let (called, gate, ended) = (called.clone(), gate.clone(), ended.clone());
            async move |request: Request| {
                if request.path() == "/hello" {
                    request.cancel_on_disconnect();
                    return "hello";
                }
                let _ended = SetOnDrop(ended.clone());
                called.set();
                gate.wait().await;
                "waited"
            }
        });
        let client = Client::connect(addr).await;
        client.send([HELLO, GET].concat()).await;
        client.end().await;
        called.wait().await;
        assert_eq!(client.answer().await.text(), "hello");
        assert!(!ended.is_set());
        gate.set();
        assert_eq!(client.answer().await.text(), "waited");
    });
}

#[test]
fn other_futures_go_on_when_the_client_has_gone() {
    run(async {
        let (called, gate, finished) = (Event::new(), Event::new(), Event::new());
        let addr = serve({
            let (called, gate, finished) = (called.clone(), gate.clone(), finished.clone());
            async move |_: Request| {
                called.set();
                gate.wait().await;
                finished.set();
                "done"
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        called.wait().await;
        client.stream.close();
        turns(10).await;
        gate.set();
        finished.wait().await;
    });
}

#[test]
fn an_end_of_input_before_the_service_is_called_counts_as_gone() {
    run(async {
        let addr = serve(async |request: Request| {
            request.client_gone().await;
            "answered all the same"
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        client.end().await;
        assert_eq!(client.answer().await.text(), "answered all the same");
    });
}

#[test]
fn a_client_that_leaves_takes_its_connection_with_it() {
    run(async {
        let server = httpserver::HttpServer::new(async |mut request: Request| -> httpserver::Result<Response> {
            Ok(Response::bytes(request.bytes().await?))
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        for bytes in
            ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"]
        {
            let client = Client::connect(addr).await;
            client.send(bytes).await;
            until(|| server.connections() == 1).await;
            client.stream.close();
            until(|| server.connections() == 0).await;
        }
    });
}
