//! Applications in applications.

mod util;

use std::{cell::Cell, rc::Rc};

use util::in_process::{ask, get, send};
use web::{Application, Error, Exchange, Method, Next, Request, Route, Wrap};

async fn path(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(format!("{} {}", exchange.method(), exchange.request().path()));
    Ok(())
}

async fn tenant(exchange: &mut Exchange) -> web::Result<()> {
    let (tenant, id): (String, u32) = (exchange.path("tenant")?, exchange.path("id")?);
    exchange.write_text(format!("{id} of {tenant}"));
    Ok(())
}

async fn length(exchange: &mut Exchange) -> web::Result<()> {
    let length = exchange.bytes().await?.len();
    exchange.write_text(length.to_string());
    Ok(())
}

/// Adds a name to a header, so that it shows which wraps have run, innermost first.
fn note(name: &'static str) -> impl Wrap {
    async move |exchange: &mut Exchange, next: Next<'_>| {
        exchange.on_response(move |response| {
            let inner = response.header("x-wraps").unwrap_or_default().to_owned();
            response.set_header("X-Wraps", inner + name).unwrap();
        });
        next.run(exchange).await
    }
}

fn page(name: &'static str) -> impl Fn(&mut Exchange, &Error) {
    move |exchange, error| exchange.write_text(format!("{name}: {}", error.status().as_u16()))
}

#[test]
fn routes_are_found_below_the_prefix_and_nowhere_else() {
    let nested = Application::new().get("/", path).get("/users/{id}", path).post("/users", path);
    let application = Application::new().get("/", path).nest("/admin", nested);
    for (target, status) in [
        ("/", 200),
        ("/admin/", 200),
        ("/admin/users/7", 200),
        ("/admin", 404),
        ("/admin/users/", 404),
        ("/users/7", 404),
        ("/administrator", 404),
        ("/admin/admin/", 404),
    ] {
        assert_eq!(get(&application, target).status, status, "{target}");
    }
    assert_eq!(ask(&application, Method::POST, "/admin/users").text(), "POST /admin/users");
}

#[test]
fn parameters_of_the_prefix_are_parameters_of_the_routes() {
    let nested = Application::new().get("/items/{id}", tenant);
    let application = Application::new().nest("/t/{tenant}", nested);
    assert_eq!(get(&application, "/t/a%20b/items/7").text(), "7 of a b");
    assert_eq!(get(&application, "/t/a/items/x").status, 400);
}

#[test]
fn a_path_below_the_prefix_without_this_method_is_405_with_allow() {
    let nested = Application::new().get("/users", path).post("/users", path);
    let application = Application::new().nest("/admin", nested);
    let answer = ask(&application, Method::DELETE, "/admin/users");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, POST, OPTIONS")));
    let answer = ask(&application, Method::OPTIONS, "/admin/users");
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
    assert_eq!(ask(&application, Method::HEAD, "/admin/users").status, 200);
    assert_eq!(ask(&application, Method::OPTIONS, "*").header("allow"), Some("GET, HEAD, POST, OPTIONS"));
}

#[test]
fn wraps_of_the_nested_application_run_for_everything_below_the_prefix() {
    let nested = Application::new().get("/x", path).add(Route::get("/y", path).wrap(note("r"))).wrap(note("n"));
    let application = Application::new().get("/x", path).nest("/n", nested).wrap(note("a"));
    for (method, target, wraps) in [
        (Method::GET, "/x", "a"),
        (Method::GET, "/n/x", "na"),
        (Method::GET, "/n/y", "rna"),
        (Method::GET, "/n/unknown", "na"),
        (Method::GET, "/n", "na"),
        (Method::GET, "/nearby", "a"),
        (Method::GET, "/unknown", "a"),
        (Method::PUT, "/n/x", "na"),
        (Method::OPTIONS, "/n/x", "na"),
        (Method::PUT, "/x", "a"),
        (Method::OPTIONS, "*", "a"),
    ] {
        let answer = ask(&application, method.clone(), target);
        assert_eq!(answer.header("x-wraps"), Some(wraps), "{method} {target}");
    }
}

#[test]
fn the_nested_application_has_its_own_error_page_or_that_of_the_outer_one() {
    let own = Application::new().get("/x", path).error_page(page("own"));
    let none = Application::new().get("/x", path);
    let application = Application::new().nest("/own", own).nest("/none", none).error_page(page("outer"));
    for (method, target, text) in [
        (Method::GET, "/own/unknown", "own: 404"),
        (Method::PUT, "/own/x", "own: 405"),
        (Method::GET, "/none/unknown", "outer: 404"),
        (Method::PUT, "/none/x", "outer: 405"),
        (Method::GET, "/unknown", "outer: 404"),
    ] {
        assert_eq!(ask(&application, method, target).text(), text, "{target}");
    }
}

#[test]
fn the_innermost_body_limit_holds() {
    let innermost = Application::new().post("/x", length).body_limit(4);
    let nested = Application::new()
        .post("/x", length)
        .add(Route::post("/large", length).body_limit(16))
        .nest("/inner", innermost)
        .body_limit(8);
    let bare = Application::new().post("/x", length);
    let application = Application::new().post("/x", length).nest("/n", nested).nest("/bare", bare).body_limit(6);
    for (target, max) in [("/x", 6), ("/bare/x", 6), ("/n/x", 8), ("/n/large", 16), ("/n/inner/x", 4)] {
        let post = |length: usize| {
            let request = Request::builder().method(Method::POST).target(target).body("x".repeat(length));
            send(&application, request).status
        };
        assert_eq!((post(max), post(max + 1)), (200, 413), "{target}");
    }
}

#[test]
fn the_nested_fallback_answers_what_is_below_the_prefix() {
    let named = |name: &'static str| {
        async move |exchange: &mut Exchange| {
            exchange.write(name);
            Ok(())
        }
    };
    let innermost = Application::new().fallback(named("inner"));
    let nested = Application::new().get("/x", path).nest("/inner", innermost).fallback(named("nested")).wrap(note("n"));
    let strict = Application::new().get("/x", path);
    let application =
        Application::new().nest("/n", nested).nest("/strict", strict).fallback(named("outer")).wrap(note("a"));
    for (target, text, wraps) in [
        ("/n/unknown", "nested", "na"),
        ("/n", "nested", "na"),
        ("/n/inner/unknown", "inner", "na"),
        ("/n/innermost", "nested", "na"),
        ("/nearby", "outer", "a"),
        ("/unknown", "outer", "a"),
    ] {
        let answer = get(&application, target);
        assert_eq!((answer.text(), answer.header("x-wraps")), (text, Some(wraps)), "{target}");
    }
    assert_eq!(get(&application, "/strict/x").text(), "GET /strict/x");
}

#[test]
fn what_a_nested_application_without_fallback_does_not_know_goes_to_the_outer_one() {
    let nested = Application::new().get("/x", path).wrap(note("n"));
    let application = Application::new().nest("/n", nested).fallback(path).wrap(note("a"));
    let answer = get(&application, "/n/unknown");
    assert_eq!((answer.text(), answer.header("x-wraps")), ("GET /n/unknown", Some("na")));
    assert_eq!(ask(&application, Method::PUT, "/n/x").status, 405, "a known path");
}

#[test]
fn below_a_prefix_with_parameters_all_is_as_below_another_one() {
    let marked = async |exchange: &mut Exchange, next: Next<'_>| {
        let tenant: String = exchange.path("tenant")?;
        assert!(exchange.pattern().is_none_or(|pattern| pattern.starts_with("/t-{tenant}.x/")));
        exchange.on_response(move |response| response.set_header("X-Tenant", &tenant).unwrap());
        next.run(exchange).await
    };
    let own = Application::new().get("/x", path).wrap(marked).fallback(async |exchange: &mut Exchange| {
        exchange.write_text(exchange.path::<String>("tenant")?);
        Ok(())
    });
    let page = Application::new().get("/x", path).error_page(page("own"));
    let application = Application::new().nest("/t-{tenant}.x/in", own).nest("/u/{user}", page).fallback(path);
    for (target, text, tenant) in [
        ("/t-acme.x/in/x", "GET /t-acme.x/in/x", Some("acme")),
        ("/t-a%20b.x/in/unknown", "a b", Some("a b")),
        ("/t-acme.x/in", "acme", Some("acme")),
        ("/t-.x/in/x", "GET /t-.x/in/x", None),
        ("/t-acme.x/inner", "GET /t-acme.x/inner", None),
        ("/", "GET /", None),
    ] {
        let answer = get(&application, target);
        assert_eq!((answer.text(), answer.header("x-tenant")), (text, tenant), "{target}");
    }
    assert_eq!(ask(&application, Method::PUT, "/u/ada/x").text(), "own: 405");
}

#[test]
fn applications_nest_in_nested_ones() {
    let innermost = Application::new().get("/c/{id}", path).wrap(note("3"));
    let nested = Application::new().get("/b", path).nest("/b/{tenant}", innermost).wrap(note("2"));
    let application = Application::new().nest("/a", nested).wrap(note("1"));
    let answer = get(&application, "/a/b/t/c/7");
    assert_eq!((answer.text(), answer.header("x-wraps")), ("GET /a/b/t/c/7", Some("321")));
    assert_eq!(get(&application, "/a/b").header("x-wraps"), Some("21"));
}

#[test]
fn static_files_can_be_nested() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let nested = Application::new().static_files("/files", directory).unwrap().wrap(note("n"));
    let root = Application::new().static_files("/", directory).unwrap();
    let application = Application::new().nest("/n", nested).nest("/tree", root);
    let file = get(&application, "/n/files/scope.rs");
    assert!(file.status == 200 && file.text().contains("struct Scope") && file.header("x-wraps") == Some("n"));
    assert!(get(&application, "/tree/exchange/mod.rs").text().contains("struct Exchange"));
    for target in ["/n/files/../Cargo.toml", "/n/files/%2e%2e/Cargo.toml", "/n/files/nothing", "/files/scope.rs"] {
        assert!(matches!(get(&application, target).status, 400 | 403 | 404), "{target}");
    }
    assert_eq!(get(&application, "/n/files/exchange").status, 301);
    assert_eq!(get(&application, "/n/files/exchange").header("location"), Some("/n/files/exchange/"));
}

#[test]
fn on_finish_and_state_go_along() {
    struct Counter(Rc<Cell<u32>>);
    impl web::RequestHandler for Counter {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
        fn on_finish(&self, _: &mut Exchange) {
            self.0.set(self.0.get() + 1);
        }
    }
    let count = Rc::new(Cell::new(0));
    let nested = Application::new().handler("/", Counter(count.clone()));
    let application = Application::new().nest("/a", nested);
    get(&application, "/a/");
    assert_eq!(count.get(), 1);
}
