//! The life of a `RequestHandler`, and functions as handlers.

mod util;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use util::serve;
use web::{Application, Error, Exchange, Extensions, Method, RequestHandler, StatusCode};

/// Reports what is called, in order.
struct Reporter {
    report: Sender<&'static str>,
}

impl RequestHandler for Reporter {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST, Method::PATCH];

    async fn prepare(&self, exchange: &mut Exchange) -> web::Result<()> {
        self.say("prepare");
        match exchange.query_opt::<String>("prepare")?.as_deref() {
            Some("finish") => {
                exchange.write("prepared");
                exchange.finish();
            }
            Some("redirect") => return exchange.redirect("/elsewhere"),
            Some("fail") => return Err(Error::http(StatusCode::FORBIDDEN, "Not you")),
            _ => {}
        }
        Ok(())
    }

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        self.say("get");
        match exchange.query_opt::<String>("get")?.as_deref() {
            Some("panic") => panic!("on purpose"),
            Some("fail") => return Err(Error::http(StatusCode::CONFLICT, "Twice")),
            Some("wait") => std::future::pending().await,
            Some("cancel") => {
                exchange.cancel_on_disconnect();
                std::future::pending().await
            }
            Some("until-gone") => exchange.client_gone().await,
            _ => {}
        }
        exchange.write("got");
        Ok(())
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        self.say("post");
        exchange.extensions().set(String::from("left by post"));
        Ok(())
    }

    // Calls one that is not written.
    async fn patch(&self, exchange: &mut Exchange) -> web::Result<()> {
        self.put(exchange).await
    }

    fn on_finish(&self, exchange: &mut Exchange) {
        self.say(match exchange.extensions().get::<String>() {
            Some(_) => "finish with extensions",
            None => "finish",
        });
    }

    fn on_connection_close(&self, _: &Extensions) {
        self.say("close");
    }
}

impl Reporter {
    fn say(&self, what: &'static str) {
        let _ = self.report.send(what);
    }
}

fn reporting() -> (util::Server, Receiver<&'static str>) {
    let (report, reports) = channel();
    let server = serve(|| Application::new().handler("/", Reporter { report }));
    (server, reports)
}

/// What was called for the requests so far; nothing else comes when the server has stopped.
fn all(server: util::Server, reports: &Receiver<&'static str>) -> Vec<&'static str> {
    drop(server);
    reports.iter().collect()
}

#[test]
fn prepare_method_finish_in_this_order() {
    let (server, reports) = reporting();
    assert_eq!(server.get("/").text(), "got");
    assert_eq!(all(server, &reports), ["prepare", "get", "finish"]);
}

#[test]
fn extensions_last_until_the_end_of_the_request() {
    let (server, reports) = reporting();
    assert_eq!(server.send("POST", "/", "", "").status, 200);
    server.get("/");
    assert_eq!(all(server, &reports), ["prepare", "post", "finish with extensions", "prepare", "get", "finish"]);
}

#[test]
fn prepare_can_be_the_whole_answer() {
    let (server, reports) = reporting();
    assert_eq!(server.get("/?prepare=finish").text(), "prepared");
    let redirect = server.get("/?prepare=redirect");
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("/elsewhere")));
    let refused = server.get("/?prepare=fail");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("403: Not you"));
    let expected = ["prepare", "finish"].repeat(3);
    assert_eq!(all(server, &reports), expected);
}

#[test]
fn methods_that_are_not_listed_are_never_called() {
    let (server, reports) = reporting();
    let reply = server.send("PUT", "/", "", "");
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow"), Some("GET, HEAD, POST, PATCH, OPTIONS"));
    assert!(all(server, &reports).is_empty());
}

#[test]
fn calling_a_method_that_is_not_written_is_500() {
    let (server, reports) = reporting();
    let reply = server.send("PATCH", "/", "", "");
    assert_eq!(reply.status, 500);
    assert!(!reply.text().contains("Reporter"), "names of types are for the log");
    assert_eq!(all(server, &reports), ["prepare", "finish"]);
}

#[test]
fn head_calls_get() {
    let (server, reports) = reporting();
    let reply = server.send("HEAD", "/", "", "");
    assert_eq!(reply.header("content-length"), Some("3"));
    assert_eq!(all(server, &reports), ["prepare", "get", "finish"]);
}

#[test]
fn errors_and_panics_finish_too() {
    let (server, reports) = reporting();
    assert_eq!(server.get("/?get=fail").status, 409);
    assert_eq!(server.get("/?get=panic").status, 500);
    assert_eq!(server.get("/").status, 200);
    let expected = ["prepare", "get", "finish"].repeat(3);
    assert_eq!(all(server, &reports), expected);
}

#[test]
fn a_waiting_handler_is_told_that_the_client_went_away() {
    let (server, reports) = reporting();
    let mut client = server.connect();
    client.request("GET", "/?get=until-gone", "", "");
    assert_eq!([server.receive(&reports), server.receive(&reports)], ["prepare", "get"]);
    drop(client);
    assert_eq!([server.receive(&reports), server.receive(&reports)], ["close", "finish"]);
}

#[test]
fn a_handler_that_goes_on_waiting_is_told_once() {
    let (server, reports) = reporting();
    let mut client = server.connect();
    client.request("GET", "/?get=wait", "", "");
    assert_eq!([server.receive(&reports), server.receive(&reports)], ["prepare", "get"]);
    drop(client);
    assert_eq!(server.receive(&reports), "close");
    // The handler still waits: it finishes when the server is taken down.
    assert_eq!(all(server, &reports), ["finish"]);
}

#[test]
fn a_cancelled_handler_finishes() {
    let (server, reports) = reporting();
    let mut client = server.connect();
    client.request("GET", "/?get=cancel", "", "");
    assert_eq!([server.receive(&reports), server.receive(&reports)], ["prepare", "get"]);
    drop(client);
    let mut calls = vec![server.receive(&reports)];
    while calls.last() != Some(&"finish") {
        calls.push(server.receive(&reports));
    }
    assert!(calls == ["finish"] || calls == ["close", "finish"], "{calls:?}");
}

#[test]
fn one_object_serves_all_requests() {
    struct Counter(Cell<u32>);
    impl RequestHandler for Counter {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            self.0.set(self.0.get() + 1);
            exchange.write(self.0.get().to_string());
            Ok(())
        }
    }
    let server = serve(|| Application::new().handler("/", Counter(Cell::new(0))));
    let mut client = server.connect();
    for expected in ["1", "2", "3"] {
        client.request("GET", "/", "", "");
        assert_eq!(client.reply().text(), expected);
    }
}

#[test]
fn closures_capture_state_without_locks() {
    let server = serve(|| {
        let seen = Rc::new(RefCell::new(Vec::<String>::new()));
        let listed = Rc::clone(&seen);
        Application::new()
            .post("/{name}", async move |exchange: &mut Exchange| {
                let name = exchange.path("name")?;
                web::sleep(Duration::from_millis(1)).await;
                seen.borrow_mut().push(name);
                Ok(())
            })
            .get("/", async move |exchange: &mut Exchange| {
                exchange.write(listed.borrow().join(","));
                Ok(())
            })
    });
    for name in ["/a", "/b"] {
        assert_eq!(server.send("POST", name, "", "").status, 200);
    }
    assert_eq!(server.get("/").text(), "a,b");
}

#[test]
fn while_connected_ends_the_handler_with_its_client() {
    struct Noisy(Sender<()>);
    impl Drop for Noisy {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (report, dropped) = channel();
    let server = serve(|| {
        Application::new().get("/", async move |exchange: &mut Exchange| {
            let _held = Noisy(report.clone());
            if exchange.query_opt::<u8>("quick")?.is_some() {
                let answer = exchange.while_connected(async { "in time" }).await?;
                exchange.write(answer);
                return Ok(());
            }
            exchange.while_connected(std::future::pending::<()>()).await
        })
    });
    assert_eq!(server.get("/?quick=1").text(), "in time");
    server.receive(&dropped);
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    server.settle();
    assert!(dropped.try_recv().is_err());
    drop(client);
    server.receive(&dropped);
}

/// The panic of adding a handler.
fn refusal<H: RequestHandler + std::panic::UnwindSafe>(handler: H) -> String {
    let added = std::panic::catch_unwind(|| drop(Application::new().handler("/", handler)));
    let payload = added.expect_err("METHODS is wrong");
    payload.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn methods_that_are_listed_but_not_written_are_refused() {
    struct Forgotten;
    impl RequestHandler for Forgotten {
        const METHODS: &'static [Method] = &[Method::GET, Method::DELETE];
        async fn get(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
    }
    let refusal = refusal(Forgotten);
    assert!(refusal.contains("Forgotten lists DELETE in METHODS, but `delete` is not written"), "{refusal}");
}

#[test]
fn methods_that_are_written_but_not_listed_are_refused() {
    struct Unlisted<T>(T);
    impl<T: 'static> RequestHandler for Unlisted<T> {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
        // Without `async`, and with a future that has a name.
        fn post(&self, _: &mut Exchange) -> impl Future<Output = web::Result<()>> {
            std::future::ready(Ok(()))
        }
    }
    let refusal = refusal(Unlisted("any type"));
    assert!(refusal.contains("writes `post`, but METHODS does not list POST"), "{refusal}");
}

#[test]
fn methods_without_a_function_are_refused() {
    struct Exotic;
    impl RequestHandler for Exotic {
        const METHODS: &'static [Method] = &[Method::GET, Method::TRACE];
        async fn get(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
    }
    let refusal = refusal(Exotic);
    assert!(refusal.contains("Exotic lists TRACE in METHODS, for which a RequestHandler has no function"), "{refusal}");
}
