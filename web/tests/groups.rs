//! Groups of routes without a prefix, and how long handlers may take.

mod util;

use std::{cell::Cell, future::pending, rc::Rc, time::Duration};

use util::{
    in_process::{ask, get},
    serve,
};
use web::{Application, Error, Exchange, Method, Next, RequestHandler, Route, StatusCode, sleep, with_state};

const SECOND: Duration = Duration::from_secs(1);

async fn ok(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("ok");
    Ok(())
}

/// Answers after so many seconds.
async fn slow(exchange: &mut Exchange) -> web::Result<()> {
    sleep(SECOND * exchange.query("seconds")?).await;
    exchange.write_text("late");
    Ok(())
}

#[test]
fn a_group_keeps_its_settings_for_its_own_routes() {
    async fn number(exchange: &mut Exchange, number: &u32) -> web::Result<()> {
        exchange.write_text(number.to_string());
        Ok(())
    }

    let refuse = async |_: &mut Exchange, _: Next<'_>| Err(Error::http(StatusCode::FORBIDDEN, "Not you"));
    let page =
        |exchange: &mut Exchange, error: &Error| exchange.write_text(format!("group {}", error.status().as_u16()));
    let group = Application::new()
        .get("/inbox", ok)
        .add(Route::get("/settings", ok).name("settings"))
        .error_page(page)
        .wrap(refuse);
    let with_own_state =
        Application::new().get("/seven", with_state(number)).post("/inbox", with_state(number)).state(7u32);
    let application =
        Application::new().get("/", ok).state(1u32).get("/one", with_state(number)).merge(group).merge(with_own_state);
    for (method, target, text) in [
        (Method::GET, "/", "ok"),
        (Method::GET, "/inbox", "group 403"),
        (Method::GET, "/settings", "group 403"),
        (Method::GET, "/seven", "7"),
        (Method::POST, "/inbox", "7"),
        (Method::GET, "/one", "1"),
    ] {
        assert_eq!(ask(&application, method.clone(), target).text(), text, "{method} {target}");
    }
    assert!(get(&application, "/unknown").text().contains("404: Not Found"), "the outer page");
    assert_eq!(application.route_names().reverse_url("settings", ()).unwrap(), "/settings");
}

#[test]
#[should_panic = "GET /inbox has two handlers"]
fn a_path_is_in_one_group() {
    let _ = Application::new().get("/inbox", ok).merge(Application::new().get("/inbox", ok));
}

#[test]
#[should_panic = "a group cannot have a fallback"]
fn a_group_has_no_fallback() {
    let _ = Application::new().merge(Application::new().fallback(ok));
}

#[test]
fn the_innermost_time_out_of_a_handler_holds() {
    let nested = Application::new()
        .get("/slow", slow)
        .add(Route::get("/longer", slow).handler_timeout(5 * SECOND))
        .add(Route::get("/unlimited", slow).handler_timeout(Duration::MAX))
        .handler_timeout(3 * SECOND);
    let bare = Application::new().get("/slow", slow).fallback(slow);
    let build = || {
        Application::new()
            .get("/slow", slow)
            .nest("/n", nested)
            .nest("/bare", bare)
            .host("own.test", Application::new().get("/host", slow).handler_timeout(SECOND))
            .handler_timeout(2 * SECOND)
    };
    let server = serve(build);
    for (target, headers, seconds) in [
        ("/slow", "", 2),
        ("/n/slow", "", 3),
        ("/n/longer", "", 5),
        ("/bare/slow", "", 2),
        ("/bare/unknown", "", 2),
        ("http://own.test/host", "", 1),
    ] {
        let status = |seconds: u32| server.send("GET", &format!("{target}?seconds={seconds}"), headers, "").status;
        assert_eq!((status(seconds - 1), status(seconds + 1)), (200, 503), "{target}");
    }
    assert_eq!(server.get("/n/unlimited?seconds=600").text(), "late");
    // At once: no timer, whatever the limit is.
    assert_eq!(server.get("/slow?seconds=x").status, 400);
}

/// Notes that it was dropped.
struct Held(Rc<Cell<u32>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_handler_that_is_given_up_is_dropped_and_its_wraps_see_an_error() {
    let (dropped, finished) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));

    struct Stuck(Rc<Cell<u32>>, Rc<Cell<u32>>);
    impl RequestHandler for Stuck {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            let _held = Held(self.0.clone());
            exchange.write("dropped");
            pending().await
        }
        fn on_finish(&self, _: &mut Exchange) {
            self.1.set(self.1.get() + 1);
        }
    }

    let stuck = Stuck(dropped.clone(), finished.clone());
    let seen = Rc::new(Cell::new(0));
    let noted = seen.clone();
    let watch = async move |exchange: &mut Exchange, next: Next<'_>| {
        let result = next.run(exchange).await;
        noted.set(result.as_ref().map_or_else(|error| error.status().as_u16(), |()| 200));
        result
    };
    let application = Application::new()
        .add(Route::handler("/stuck", stuck).wrap(watch).handler_timeout(Duration::from_millis(1)))
        .get("/", ok);
    let answer = get(&application, "/stuck");
    assert_eq!((answer.status, dropped.get(), finished.get(), seen.get()), (503, 1, 1, 503));
    assert!(answer.text().contains("503: Service Unavailable") && !answer.text().contains("dropped"), "{answer:?}");
}

#[test]
fn a_handler_that_streams_is_not_given_up() {
    let stream = async |exchange: &mut Exchange| {
        for piece in ["a", "b", "c"] {
            exchange.write(piece);
            exchange.flush().await?;
            sleep(10 * SECOND).await;
        }
        Ok(())
    };
    let late = async |exchange: &mut Exchange| {
        sleep(10 * SECOND).await;
        exchange.flush().await
    };
    let build = move || Application::new().get("/stream", stream).get("/late", late).handler_timeout(SECOND);
    let server = serve(build);
    assert_eq!(server.get("/stream").text(), "abc");
    assert_eq!(server.get("/late").status, 503);
}

#[test]
fn a_handler_that_waits_for_the_body_is_given_up_too() {
    let read = async |exchange: &mut Exchange| {
        let length = exchange.bytes().await?.len();
        exchange.write_text(length.to_string());
        Ok(())
    };
    let server = serve(move || Application::new().post("/", read).handler_timeout(SECOND));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nab");
    assert_eq!(client.reply().status, 503);
    assert_eq!(server.send("POST", "/", "", "abcde").text(), "5");
}
