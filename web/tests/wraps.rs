//! What runs around handlers.

mod util;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    rc::Rc,
    time::Duration,
};

use util::in_process::{ask, get};
use web::{
    Application, Error, Exchange, IOLoop, Method, Next, Request, RequestHandler, Route, StatusCode, Wrap,
    httpserver::Service, timeout,
};

/// What ran, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn take(&self) -> String {
        self.0.take().join(" ")
    }

    /// A wrap that notes when it begins, when what it wraps has returned, and when it is shown the response.
    fn wrap(&self, name: &'static str) -> impl Wrap {
        let log = self.clone();
        async move |exchange: &mut Exchange, next: Next<'_>| {
            log.add(name);
            let hook = log.clone();
            exchange.on_response(move |_| hook.add(format!("({name})")));
            let result = next.run(exchange).await;
            log.add(format!("/{name}"));
            result
        }
    }
}

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("hello");
    Ok(())
}

#[test]
fn wraps_run_from_the_outermost_inwards_and_see_the_response_from_the_innermost_outwards() {
    let log = Log::default();
    let handler = log.clone();
    let say = async move |exchange: &mut Exchange| {
        handler.add("handler");
        exchange.write("hello");
        Ok(())
    };
    let nested = Application::new()
        .add(Route::get("/x", say.clone()).wrap(log.wrap("r1")).wrap(log.wrap("r2")))
        .wrap(log.wrap("n1"))
        .wrap(log.wrap("n2"));
    let application = Application::new().wrap(log.wrap("a1")).nest("/n", nested).wrap(log.wrap("a2"));
    assert_eq!(get(&application, "/n/x").text(), "hello");
    assert_eq!(log.take(), "a1 a2 n1 n2 r1 r2 handler /r2 /r1 /n2 /n1 /a2 /a1 (r2) (r1) (n2) (n1) (a2) (a1)");
}

#[test]
fn of_a_streamed_response_wraps_see_the_head_before_it_is_sent_and_go_on_when_the_handler_has_returned() {
    let log = Log::default();
    let handler = log.clone();
    let stream = async move |exchange: &mut Exchange| {
        exchange.write("first");
        handler.add("handler");
        exchange.flush().await?;
        handler.add("flushed");
        exchange.write("last");
        Ok(())
    };
    let nested = Application::new().add(Route::get("/x", stream).wrap(log.wrap("r"))).wrap(log.wrap("n"));
    let application = Application::new().wrap(log.wrap("a1")).wrap(log.wrap("a2")).nest("/n", nested);
    assert_eq!(get(&application, "/n/x").text(), "firstlast");
    assert_eq!(log.take(), "a1 a2 n r handler (r) (n) (a2) (a1) flushed /r /n /a2 /a1");
}

#[test]
fn a_wrap_measures_what_it_wraps_streams_included() {
    const SECOND: Duration = Duration::from_secs(1);

    let measured = Rc::new(RefCell::new(Vec::new()));
    let noted = measured.clone();
    let stopwatch = async move |exchange: &mut Exchange, next: Next<'_>| {
        let began = web::testing::elapsed();
        let result = next.run(exchange).await;
        noted.borrow_mut().push((exchange.status().as_u16(), web::testing::elapsed() - began));
        result
    };
    web::testing::run(async move {
        let application = Application::new()
            .get("/wait", async |exchange: &mut Exchange| {
                web::sleep(2 * SECOND).await;
                exchange.set_status(StatusCode::ACCEPTED);
                Ok(())
            })
            .get("/stream", async |exchange: &mut Exchange| {
                for _ in 0..3 {
                    exchange.write("piece");
                    exchange.flush().await?;
                    web::sleep(SECOND).await;
                }
                Ok(())
            })
            .wrap(stopwatch);
        let client = web::testing::TestClient::new(application);
        client.get("/wait").send().await.assert_status(202);
        client.get("/stream").send().await.assert_text("piecepiecepiece");
    });
    assert_eq!(*measured.borrow(), [(202, 2 * SECOND), (200, 3 * SECOND)]);
}

#[test]
fn a_wrap_of_the_application_is_around_what_was_added_before_and_after_it() {
    let log = Log::default();
    let application = Application::new().get("/before", hello).wrap(log.wrap("w")).get("/after", hello);
    for target in ["/before", "/after", "/unknown"] {
        get(&application, target);
        assert_eq!(log.take(), "w /w (w)", "{target}");
    }
}

#[test]
fn a_wrap_of_a_route_is_around_that_route_alone() {
    let log = Log::default();
    let application =
        Application::new().add(Route::get("/one", hello).wrap(log.wrap("w"))).get("/two", hello).post("/one", hello);
    for (method, target, expected) in [
        (Method::GET, "/one", "w /w (w)"),
        (Method::HEAD, "/one", "w /w (w)"),
        (Method::POST, "/one", ""),
        (Method::PUT, "/one", ""),
        (Method::OPTIONS, "/one", ""),
        (Method::GET, "/two", ""),
        (Method::GET, "/three", ""),
    ] {
        ask(&application, method.clone(), target);
        assert_eq!(log.take(), expected, "{method} {target}");
    }
}

#[test]
fn a_wrap_can_answer_itself() {
    let log = Log::default();
    let doorkeeper = async |exchange: &mut Exchange, next: Next<'_>| match exchange.query_opt::<u8>("as")? {
        Some(1) => {
            exchange.write("from the wrap");
            Ok(())
        }
        Some(2) => Err(Error::http(StatusCode::FORBIDDEN, "Not you")),
        Some(3) => exchange.redirect("/elsewhere"),
        _ => next.run(exchange).await,
    };
    let application = Application::new().get("/", hello).wrap(doorkeeper).wrap(log.wrap("inner"));
    assert_eq!(get(&application, "/?as=1").text(), "from the wrap");
    let refused = get(&application, "/?as=2");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("403: Not you"));
    let redirect = get(&application, "/?as=3");
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("/elsewhere")));
    assert_eq!(log.take(), "", "nothing further in has run");
    assert_eq!(get(&application, "/").text(), "hello");
    assert_eq!(log.take(), "inner /inner (inner)");
}

#[test]
fn a_wrap_can_make_an_answer_of_an_error_and_an_error_of_an_answer() {
    let mend = async |exchange: &mut Exchange, next: Next<'_>| match next.run(exchange).await {
        Err(error) if error.status() == StatusCode::CONFLICT => {
            exchange.write_text(format!("mended: {}", error.message()));
            Ok(())
        }
        result => result,
    };
    let spoil = async |exchange: &mut Exchange, next: Next<'_>| {
        next.run(exchange).await?;
        match exchange.status() {
            StatusCode::ACCEPTED => Err(Error::http(StatusCode::IM_A_TEAPOT, "spoilt")),
            _ => Ok(()),
        }
    };
    let application = Application::new()
        .get("/fails", async |_: &mut Exchange| Err(Error::http(StatusCode::CONFLICT, "twice")))
        .get("/fine", async |exchange: &mut Exchange| {
            exchange.set_status(StatusCode::ACCEPTED);
            exchange.set_header("X-Lost", "1")?;
            exchange.write("dropped");
            Ok(())
        })
        .wrap(mend)
        .wrap(spoil);
    let mended = get(&application, "/fails");
    assert_eq!((mended.status, mended.text()), (200, "mended: twice"));
    let spoilt = get(&application, "/fine");
    assert_eq!((spoilt.status, spoilt.header("x-lost")), (418, None));
    assert!(spoilt.text().contains("418: spoilt") && !spoilt.text().contains("dropped"), "{spoilt:?}");
    // Errors of the router pass through wraps as those of handlers do.
    let found = Application::new().wrap(async |exchange: &mut Exchange, next: Next<'_>| {
        let error = next.run(exchange).await.expect_err("no route");
        exchange.write(format!("looked for {}: {error}", exchange.request().path()));
        Ok(())
    });
    let answer = get(&found, "/unknown");
    assert_eq!((answer.status, answer.text()), (200, "looked for /unknown: Not Found"));
}

#[test]
fn a_wrap_hands_what_it_found_out_to_the_handler() {
    struct User(String);

    let application = Application::new()
        .get("/", async |exchange: &mut Exchange| {
            let user = exchange.extensions().get::<User>().expect("the wrap has set it");
            exchange.write_text(&user.0);
            Ok(())
        })
        .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            let name: String = exchange.query("name")?;
            exchange.extensions().set(User(name));
            next.run(exchange).await
        });
    assert_eq!(get(&application, "/?name=ada").text(), "ada");
    assert_eq!(get(&application, "/?name=grace").text(), "grace");
    assert_eq!(get(&application, "/").status, 400);
}

#[test]
fn a_wrap_adds_to_the_answer_of_what_it_wraps() {
    let application = Application::new().get("/", hello).wrap(async |exchange: &mut Exchange, next: Next<'_>| {
        exchange.write("<p>");
        next.run(exchange).await?;
        exchange.set_status(StatusCode::ACCEPTED);
        exchange.set_header("X-Late", "yes")?;
        exchange.write("</p>");
        Ok(())
    });
    let answer = get(&application, "/");
    assert_eq!((answer.status, answer.header("x-late"), answer.text()), (202, Some("yes"), "<p>hello</p>"));
}

/// Notes that it was dropped.
struct Held(Rc<Cell<u32>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_wrap_can_give_up_what_it_wraps_after_a_time() {
    let dropped = Rc::new(Cell::new(0));
    let held = dropped.clone();
    let limited = async |exchange: &mut Exchange, next: Next<'_>| {
        let too_slow = |_elapsed| Err(Error::http(StatusCode::SERVICE_UNAVAILABLE, "That took too long"));
        timeout(Duration::from_millis(1), next.run(exchange)).await.unwrap_or_else(too_slow)
    };
    let application = Application::new()
        .get("/slow", async move |exchange: &mut Exchange| {
            let _held = Held(held.clone());
            exchange.write("dropped");
            pending().await
        })
        .get("/quick", hello)
        .wrap(limited);
    let answer = get(&application, "/slow");
    assert_eq!((answer.status, dropped.get()), (503, 1));
    assert!(!answer.text().contains("dropped"), "{answer:?}");
    assert_eq!(get(&application, "/quick").text(), "hello");
}

#[test]
fn a_wrap_that_does_not_run_next_is_the_whole_answer() {
    let ran = Rc::new(Cell::new(false));
    let noted = ran.clone();
    let application = Application::new()
        .get("/", async move |_: &mut Exchange| {
            noted.set(true);
            Ok(())
        })
        .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            if exchange.query_opt::<u8>("begin")?.is_some() {
                // Not polled.
                drop(next.run(exchange));
            }
            exchange.write("alone");
            Ok(())
        });
    for target in ["/", "/?begin=1"] {
        assert_eq!(get(&application, target).text(), "alone");
    }
    assert!(!ran.get());
    let silent = Application::new().get("/", hello).wrap(async |_: &mut Exchange, _: Next<'_>| Ok(()));
    assert_eq!((get(&silent, "/").status, get(&silent, "/").text()), (200, ""));
}

#[test]
fn an_application_can_be_changed_after_it_has_been_called() {
    let application = Application::new().get("/", hello);
    assert_eq!(get(&application, "/").text(), "hello");
    let members = async |_: &mut Exchange, _: Next<'_>| Err(Error::http(StatusCode::FORBIDDEN, "Members only"));
    let application = application.wrap(members);
    assert_eq!(get(&application, "/").status, 403);
    let application = Application::new().nest("/inner", application).get("/", hello);
    assert_eq!((get(&application, "/inner/").status, get(&application, "/").status), (403, 200));
}

#[test]
fn a_type_can_be_a_wrap_of_several_applications() {
    #[derive(Clone)]
    struct Counted(Rc<Cell<u32>>);

    impl Wrap for Counted {
        async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
            self.0.set(self.0.get() + 1);
            next.run(exchange).await
        }
    }

    let counted = Counted(Rc::default());
    let one = Application::new().get("/", hello).wrap(counted.clone());
    let two = Application::new().get("/", hello).wrap(counted.clone());
    assert_eq!((get(&one, "/").text(), get(&two, "/").text()), ("hello", "hello"));
    assert_eq!(counted.0.get(), 2);
}

#[test]
fn a_panic_in_a_wrap_is_500_and_leaves_others_alone() {
    let log = Log::default();
    let application = Application::new().get("/", hello).wrap(log.wrap("outer")).wrap(
        async |exchange: &mut Exchange, next: Next<'_>| {
            let place = exchange.query_opt::<String>("panic")?;
            assert_ne!(place.as_deref(), Some("before"), "on purpose");
            let result = next.run(exchange).await;
            assert_ne!(place.as_deref(), Some("behind"), "on purpose");
            result
        },
    );
    for target in ["/?panic=before", "/?panic=behind"] {
        let answer = get(&application, target);
        assert_eq!(answer.status, 500, "{target}");
        assert!(answer.text().contains("500: Internal Server Error") && !answer.text().contains("hello"));
        assert_eq!(log.take(), "outer (outer)", "{target}");
        assert_eq!(get(&application, "/").text(), "hello");
        log.take();
    }
}

/// Counts its ends.
struct Finishing(Rc<Cell<u32>>);

impl RequestHandler for Finishing {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        match exchange.query_opt::<String>("do")?.as_deref() {
            Some("fail") => return Err(Error::http(StatusCode::CONFLICT, "as asked")),
            Some("panic") => panic!("on purpose"),
            Some("wait") => pending().await,
            Some("stream") => exchange.flush().await?,
            _ => {}
        }
        exchange.write("hello");
        Ok(())
    }

    fn on_finish(&self, _: &mut Exchange) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn on_finish_runs_once_whatever_the_wraps_do() {
    let finished = Rc::new(Cell::new(0));
    let application = Application::new().handler("/", Finishing(finished.clone())).wrap(
        async |exchange: &mut Exchange, next: Next<'_>| match exchange.query_opt::<String>("wrap")?.as_deref() {
            Some("answer") => Ok(()),
            Some("fail") => Err(Error::http(StatusCode::FORBIDDEN, "Not you")),
            Some("panic") => panic!("on purpose"),
            Some("give up") => timeout(Duration::ZERO, next.run(exchange)).await.unwrap_or(Ok(())),
            _ => next.run(exchange).await,
        },
    );
    for (query, status) in [
        ("", 200),
        ("do=fail", 409),
        ("do=panic", 500),
        ("do=stream", 200),
        ("wrap=answer", 200),
        ("wrap=fail", 403),
        ("wrap=panic", 500),
        ("wrap=give%20up&do=wait", 200),
    ] {
        assert_eq!(get(&application, &format!("/?{query}")).status, status, "{query}");
        assert_eq!(finished.replace(0), 1, "{query}");
    }
    // Dropped where it waits.
    let request = Request::builder().target("/?do=wait").build().unwrap();
    IOLoop::current().run_sync(async {
        assert!(timeout(Duration::from_millis(1), application.call(request)).await.is_err());
    });
    assert_eq!(finished.get(), 1);
}
