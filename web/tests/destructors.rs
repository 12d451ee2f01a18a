//! Destructors of the application's own values that panic: they take no answer with them.

mod util;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use util::{Server, serve};
use web::{Application, Exchange, Method, Next, RequestHandler};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

/// A handler's future that is ready at once and panics when it is dropped.
struct BombAfterwards(Bomb);

impl Future for BombAfterwards {
    type Output = web::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<web::Result<()>> {
        let _held = &self.0;
        Poll::Ready(Ok(()))
    }
}

async fn in_the_extensions(exchange: &mut Exchange) -> web::Result<()> {
    exchange.extensions().set(Bomb);
    exchange.write("extensions");
    Ok(())
}

async fn in_a_hook(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("hook");
    exchange.flush().await?;
    let bomb = Bomb;
    // Never runs, because the head has been sent.
    exchange.on_response(move |_| drop(bomb));
    Ok(())
}

async fn cancelled(exchange: &mut Exchange) -> web::Result<()> {
    let _held = Bomb;
    exchange.cancel_on_disconnect();
    std::future::pending().await
}

struct Resource;

impl RequestHandler for Resource {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        in_the_extensions(exchange).await
    }

    fn on_finish(&self, _: &mut Exchange) {
        panic!("and before that");
    }
}

fn application() -> Application {
    Application::new()
        .get("/future", |_: &mut Exchange| BombAfterwards(Bomb))
        .get("/extensions", in_the_extensions)
        .get("/hook", in_a_hook)
        .get("/cancelled", cancelled)
        .get("/fine", async |exchange: &mut Exchange| {
            exchange.write("fine");
            Ok(())
        })
        .handler("/resource", Resource)
}

fn servers() -> [Server; 2] {
    let wrapped = || application().wrap(async |exchange: &mut Exchange, next: Next<'_>| next.run(exchange).await);
    [serve(application), serve(wrapped)]
}

#[test]
fn what_a_request_carried_takes_no_answer_with_it() {
    for server in servers() {
        let mut client = server.connect();
        for (path, text) in
            [("/extensions", "extensions"), ("/resource", "extensions"), ("/hook", "hook"), ("/fine", "fine")]
        {
            client.request("GET", path, "", "");
            let reply = client.reply();
            assert_eq!((reply.status, reply.text()), (200, text), "{path}");
        }
    }
}

#[test]
fn a_future_whose_destructor_panics_is_a_handler_that_panicked() {
    for server in servers() {
        let mut client = server.connect();
        client.request("GET", "/future", "", "");
        let reply = client.reply();
        assert_eq!(reply.status, 500);
        assert!(reply.text().contains("<title>500: Internal Server Error</title>"), "{}", reply.text());
        client.request("GET", "/fine", "", "");
        assert_eq!(client.reply().text(), "fine");
    }
}

#[test]
fn a_cancelled_handler_takes_no_earlier_answer_with_it() {
    for server in servers() {
        let mut client = server.connect();
        client.request("GET", "/fine", "", "");
        client.request("GET", "/cancelled", "", "");
        client.shutdown_write();
        assert_eq!(client.reply().text(), "fine");
        assert_eq!(server.get("/fine").text(), "fine");
    }
}
