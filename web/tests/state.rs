//! Values that the handlers of an application share.

mod util;

use std::{cell::Cell, rc::Rc};

use util::in_process::{ask, get};
use web::{Application, Exchange, Handler, Method, Needs, Next, RequestHandler, Route, Wrap, with_state};

struct Name(&'static str);

#[derive(Default)]
struct Count(Cell<u32>);

async fn name(exchange: &mut Exchange, name: &Name) -> web::Result<()> {
    exchange.write_text(name.0);
    Ok(())
}

async fn asking(exchange: &mut Exchange) -> web::Result<()> {
    let name = exchange.state::<Name>()?;
    exchange.write_text(name.0);
    Ok(())
}

/// A handler, a resource and a wrap that say what they need.
struct Greeter;

impl RequestHandler for Greeter {
    const METHODS: &'static [Method] = &[Method::GET];

    fn needs(&self, needs: &mut Needs) {
        needs.state::<Name>();
    }

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        asking(exchange).await
    }
}

struct Counted;

impl Wrap for Counted {
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
        let count = exchange.state::<Count>()?;
        count.0.set(count.0.get() + 1);
        next.run(exchange).await
    }

    fn needs(&self, needs: &mut Needs) {
        needs.state::<Count>();
    }
}

struct Named;

impl Handler for Named {
    async fn handle(&self, exchange: &mut Exchange) -> web::Result<()> {
        asking(exchange).await
    }

    fn needs(&self, needs: &mut Needs) {
        needs.state::<Name>();
    }
}

#[test]
fn all_handlers_share_the_state_wherever_it_was_added() {
    let application = Application::new()
        .get("/given", with_state(name))
        .get("/asked", asking)
        .handler("/resource", Greeter)
        .add(Route::get("/counted", Named).wrap(Counted))
        .get(
            "/closure",
            with_state(async |exchange: &mut Exchange, count: &Count| {
                exchange.write_text(count.0.get().to_string());
                Ok(())
            }),
        )
        .state(Name("ada"))
        .state(Count::default());
    for target in ["/given", "/asked", "/resource", "/counted", "/counted"] {
        assert_eq!(get(&application, target).text(), "ada", "{target}");
    }
    assert_eq!(get(&application, "/closure").text(), "2");
}

#[test]
fn a_nested_application_sees_its_own_state_first() {
    let innermost = Application::new().get("/", with_state(name)).fallback(asking);
    let own = Application::new().get("/", with_state(name)).nest("/in", innermost).state(Name("own"));
    let none = Application::new().get("/", with_state(name)).get("/asked", asking);
    let application = Application::new()
        .get("/", with_state(name))
        .nest("/own", own)
        .nest("/none", none)
        // The same path, added by both: each method has the state of who added it.
        .post("/own/", with_state(name))
        .fallback(asking)
        .state(Name("outer"));
    for (target, text) in [
        ("/", "outer"),
        ("/own/", "own"),
        ("/own/in/", "own"),
        ("/own/in/unknown", "own"),
        ("/none/", "outer"),
        ("/none/asked", "outer"),
        // Below the prefix, so it is a request of the nested application, whoever answers it.
        ("/own/unknown", "own"),
        ("/unknown", "outer"),
    ] {
        assert_eq!(get(&application, target).text(), text, "{target}");
    }
    assert_eq!(ask(&application, Method::POST, "/own/").text(), "outer");
}

#[test]
fn wraps_ask_for_state_whoever_answers() {
    let count = Rc::new(Cell::new(0));
    let seen = count.clone();
    let application = Application::new().state(Name("ada")).get("/", asking).wrap(
        async move |exchange: &mut Exchange, next: Next<'_>| {
            assert_eq!(exchange.state::<Name>()?.0, "ada");
            seen.set(seen.get() + 1);
            next.run(exchange).await
        },
    );
    for (method, target) in [
        (Method::GET, "/"),
        (Method::PUT, "/"),
        (Method::OPTIONS, "/"),
        (Method::GET, "/unknown"),
        (Method::OPTIONS, "*"),
        (Method::CONNECT, "a:1"),
    ] {
        ask(&application, method, target);
    }
    assert_eq!(count.get(), 6);
}

#[test]
fn state_that_nobody_said_to_need_is_missed_by_the_request() {
    let answer = get(&Application::new().get("/", asking), "/");
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("Name"), "{answer:?}");
}

#[test]
fn state_is_dropped_with_its_application() {
    let state = Rc::new(());
    let application = Application::new().state(state.clone()).get("/", asking).fallback(asking);
    let application = Application::new().nest("/n", application).get("/", asking);
    get(&application, "/n/x");
    assert_eq!(Rc::strong_count(&state), 2);
    drop(application);
    assert_eq!(Rc::strong_count(&state), 1);
}

#[test]
#[should_panic = "the application has state of type u8 already"]
fn there_is_one_value_of_each_type() {
    let _ = Application::new().state(1u8).state(2u8);
}
