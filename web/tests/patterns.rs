//! The pattern of the route that answers, for logs and metrics.

mod util;

use std::{cell::RefCell, rc::Rc};

use util::in_process::ask;
use web::{Application, Exchange, Method, Next};

async fn ok(exchange: &mut Exchange) -> web::Result<()> {
    let pattern = exchange.pattern().unwrap_or("none").to_owned();
    exchange.write_text(pattern);
    Ok(())
}

type Seen = Rc<RefCell<Vec<Option<String>>>>;

/// An application that notes the pattern of each request, as a wrap for metrics would.
fn noting(application: Application) -> (Application, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let application = application.wrap(async move |exchange: &mut Exchange, next: Next<'_>| {
        noted.borrow_mut().push(exchange.pattern().map(str::to_owned));
        next.run(exchange).await
    });
    (application, seen)
}

#[test]
fn wraps_know_the_pattern_whoever_answers() {
    let nested = Application::new().get("/items/{id}", ok).fallback(ok);
    let (application, seen) = noting(
        Application::new()
            .get("/", ok)
            .get("/user/{id}", ok)
            .get("/many/{a}/{b}/{c}/{d}/{e}", ok)
            .get("/files/{*path}", ok)
            .nest("/t/{tenant}", nested)
            .nest("/n", Application::new().get("/x", ok))
            .static_files("/static", env!("CARGO_MANIFEST_DIR"))
            .unwrap(),
    );
    for (method, target, pattern) in [
        (Method::GET, "/", Some("/")),
        (Method::GET, "/user/7?q=1", Some("/user/{id}")),
        (Method::HEAD, "/user/7", Some("/user/{id}")),
        (Method::GET, "/many/1/2/3/4/5", Some("/many/{a}/{b}/{c}/{d}/{e}")),
        (Method::GET, "/files/a/b", Some("/files/{*path}")),
        (Method::GET, "/t/a/items/7", Some("/t/{tenant}/items/{id}")),
        (Method::GET, "/n/x", Some("/n/x")),
        (Method::GET, "/static/Cargo.toml", Some("/static/{*path}")),
        (Method::GET, "/static/nothing", Some("/static/{*path}")),
        // The path is known, and the method is not.
        (Method::PUT, "/user/7", Some("/user/{id}")),
        (Method::OPTIONS, "/user/7", Some("/user/{id}")),
        (Method::GET, "/unknown", None),
        (Method::GET, "/n/unknown", None),
        (Method::OPTIONS, "*", None),
        (Method::CONNECT, "a:1", None),
    ] {
        ask(&application, method.clone(), target);
        assert_eq!(seen.borrow_mut().pop(), Some(pattern.map(str::to_owned)), "{method} {target}");
    }
}

#[test]
fn handlers_know_the_pattern_and_a_fallback_has_none() {
    let application = Application::new().get("/user/{id}", ok).fallback(ok);
    assert_eq!(ask(&application, Method::GET, "/user/7").text(), "/user/{id}");
    assert_eq!(ask(&application, Method::GET, "/elsewhere").text(), "none");
}

#[test]
fn a_wrap_reads_the_parameters_whoever_answers() {
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let noted = seen.clone();
    let application =
        Application::new().get("/t/{tenant}/{id}", ok).wrap(async move |exchange: &mut Exchange, next: Next<'_>| {
            noted.borrow_mut().push(exchange.path("tenant")?);
            next.run(exchange).await
        });
    for (method, status) in [(Method::GET, 200), (Method::PUT, 405), (Method::OPTIONS, 204)] {
        assert_eq!(ask(&application, method.clone(), "/t/a%20b/7").status, status);
        assert_eq!(seen.borrow_mut().pop().as_deref(), Some("a b"), "{method}");
    }
}
