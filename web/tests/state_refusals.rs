//! State that is missing shows when the program starts. The hook of panics belongs to the process: this file has one test.

mod util;

use util::{in_process::get, refusal::refusal};
use web::{Application, Exchange, Method, Needs, Next, RequestHandler, Route, Wrap, with_state};

struct Database;

async fn users(exchange: &mut Exchange, _: &Database) -> web::Result<()> {
    exchange.write_text("ada\n");
    Ok(())
}

async fn plain(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("plain\n");
    Ok(())
}

struct Resource;

impl RequestHandler for Resource {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    fn needs(&self, needs: &mut Needs) {
        needs.state::<Database>();
    }

    async fn get(&self, _: &mut Exchange) -> web::Result<()> {
        Ok(())
    }

    async fn post(&self, _: &mut Exchange) -> web::Result<()> {
        Ok(())
    }
}

struct Guard;

impl Wrap for Guard {
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
        next.run(exchange).await
    }

    fn needs(&self, needs: &mut Needs) {
        needs.state::<Database>();
    }
}

#[test]
fn what_is_missing_is_named_with_the_route_when_the_application_begins_to_serve() {
    let nested = || Application::new().get("/users", with_state(users));
    for (what, application) in [
        ("the route GET /users", Application::new().get("/", plain).get("/users", with_state(users))),
        ("the route GET /", Application::new().handler("/", Resource)),
        ("the route PUT /x", Application::new().add(Route::new(Method::PUT, "/x", plain).needs::<Database>())),
        ("the route GET /x", Application::new().add(Route::get("/x", plain).wrap(Guard))),
        ("the route GET /n/{id}/users", Application::new().nest("/n/{id}", nested())),
        // That of another nested application is not its own.
        ("the route GET /n/users", Application::new().nest("/m", nested().state(Database)).nest("/n", nested())),
        ("what runs around all", Application::new().get("/", plain).wrap(Guard)),
        ("the fallback below \"\"", Application::new().fallback(with_state(users))),
        ("the fallback below \"/n\"", Application::new().nest("/n", Application::new().fallback(with_state(users)))),
    ] {
        let (message, here) = refusal(|| drop(application.into_server()));
        let expected = format!(
            "{what} needs state of type state_refusals::Database, which neither its application nor one around it has: add \
             it with `Application::state`"
        );
        assert!(message == expected && here, "{message}");
    }
    let (message, here) = refusal(|| drop(nested().listen(("127.0.0.1", 0))));
    assert!(message.contains("GET /users needs state") && here, "{message}");
    // Each time, and for a route that needs none as well.
    let application = nested().get("/", plain);
    for _ in 0..2 {
        let (message, _) = refusal(|| drop(get(&application, "/")));
        assert!(message.contains("GET /users needs state"), "{message}");
    }
    drop(nested().state(Database).into_server());
    drop(Application::new().nest("/n", nested()).state(Database).into_server());
}
