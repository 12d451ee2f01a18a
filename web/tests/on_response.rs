//! What is done to a response when its head is complete.

mod util;

use std::{cell::Cell, rc::Rc};

use util::{
    in_process::{ask, get},
    serve,
};
use web::{Application, Error, Exchange, Method, Next, RequestHandler, StatusCode, httpserver::Body};

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Handler", "yes")?;
    exchange.write("hello");
    Ok(())
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    hello(exchange).await?;
    exchange.flush().await?;
    exchange.write(" again");
    Ok(())
}

async fn fails(_: &mut Exchange) -> web::Result<()> {
    Err(Error::http(StatusCode::CONFLICT, "twice"))
}

fn application() -> Application {
    Application::new().get("/short", hello).get("/streamed", streamed).get("/fails", fails)
}

#[test]
fn the_response_is_shown_with_all_that_the_handler_has_set() {
    let application = application().wrap(async |exchange: &mut Exchange, next: Next<'_>| {
        exchange.set_cookie(("seen", "1"))?;
        exchange.on_response(|response| {
            let seen = format!("{} {:?}", response.status().as_u16(), response.header("x-handler"));
            let cookie = response.header("set-cookie").is_some();
            response.set_header("X-Seen", format!("{seen} {cookie}")).unwrap();
        });
        next.run(exchange).await
    });
    assert_eq!(get(&application, "/short").header("x-seen"), Some("200 Some(\"yes\") true"));
    assert_eq!(get(&application, "/streamed").header("x-seen"), Some("200 Some(\"yes\") true"));
    assert_eq!(get(&application, "/fails").header("x-seen"), Some("409 None true"));
    assert_eq!(get(&application, "/unknown").header("x-seen"), Some("404 None true"));
}

#[test]
fn each_hook_sees_what_those_registered_after_it_have_made() {
    let add = |exchange: &mut Exchange, name: &'static str| {
        exchange.on_response(move |response| {
            let before = response.header("x-order").unwrap_or_default().to_owned();
            response.set_header("X-Order", before + name).unwrap();
        });
    };
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        ["1", "2", "3"].into_iter().for_each(|name| add(exchange, name));
        Ok(())
    });
    assert_eq!(get(&application, "/").header("x-order"), Some("321"));
}

#[test]
fn status_and_body_can_be_changed() {
    let application = application().wrap(async |exchange: &mut Exchange, next: Next<'_>| {
        exchange.on_response(|response| {
            response.set_status(StatusCode::ACCEPTED);
            if let Some(body) = response.body().as_bytes() {
                let upper = body.to_ascii_uppercase();
                response.set_body(upper);
            }
        });
        next.run(exchange).await
    });
    let short = get(&application, "/short");
    assert_eq!((short.status, short.text()), (202, "HELLO"));
    let streamed = get(&application, "/streamed");
    assert_eq!((streamed.status, streamed.text()), (202, "hello again"));
}

#[test]
fn on_finish_sees_the_status_that_was_sent() {
    struct Noted(Rc<Cell<u16>>);
    impl RequestHandler for Noted {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            exchange.on_response(|response| response.set_status(StatusCode::ACCEPTED));
            match exchange.query_opt::<u8>("stream")? {
                Some(_) => exchange.flush().await,
                None => Ok(()),
            }
        }
        fn on_finish(&self, exchange: &mut Exchange) {
            self.0.set(exchange.status().as_u16());
        }
    }
    let noted = Rc::new(Cell::new(0));
    let application = Application::new().handler("/", Noted(noted.clone()));
    for target in ["/", "/?stream=1"] {
        assert_eq!((get(&application, target).status, noted.take()), (202, 202), "{target}");
    }
}

#[test]
fn a_hook_that_replaces_a_streamed_body_ends_the_handler() {
    let went_on = Rc::new(Cell::new(false));
    let noted = went_on.clone();
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        exchange.on_response(|response| response.set_body(Body::from("instead")));
        exchange.write("lost");
        let flushed = exchange.flush().await;
        noted.set(flushed.is_ok());
        flushed
    });
    assert_eq!(get(&application, "/").text(), "instead");
    assert!(!went_on.get());
    assert_eq!(Rc::strong_count(&went_on), 2, "the test and the handler, of which no call is left");
}

#[test]
fn a_hook_runs_once() {
    let count = Rc::new(Cell::new(0));
    let counting = count.clone();
    let application = application().wrap(async move |exchange: &mut Exchange, next: Next<'_>| {
        let count = counting.clone();
        exchange.on_response(move |_| count.set(count.get() + 1));
        next.run(exchange).await
    });
    for target in ["/short", "/streamed", "/fails", "/unknown"] {
        get(&application, target);
        assert_eq!(count.replace(0), 1, "{target}");
    }
    ask(&application, Method::OPTIONS, "/short");
    assert_eq!(count.get(), 1);
}

#[test]
fn a_panic_in_a_hook_is_500_and_leaves_others_alone() {
    let server = serve(|| {
        application().wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            if exchange.query_opt::<u8>("panic")?.is_some() {
                exchange.on_response(|_| panic!("on purpose"));
            }
            next.run(exchange).await
        })
    });
    let mut client = server.connect();
    for path in ["/short", "/streamed", "/fails"] {
        client.request("GET", &format!("{path}?panic=1"), "", "");
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("x-handler")), (500, None), "{path}");
        assert!(!reply.text().contains("hello"), "{path}");
        // The same connection goes on.
        client.request("GET", "/streamed", "", "");
        assert_eq!(client.reply().text(), "hello again");
    }
}

#[test]
fn the_hooks_around_one_that_panics_run_nevertheless() {
    let application = application()
        .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            exchange.on_response(|response| response.set_header("X-Outer", "yes").unwrap());
            next.run(exchange).await
        })
        .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            exchange.on_response(|_| panic!("on purpose"));
            next.run(exchange).await
        });
    for target in ["/short", "/streamed", "/fails"] {
        let answer = get(&application, target);
        assert_eq!((answer.status, answer.header("x-outer")), (500, Some("yes")), "{target}");
    }
}
