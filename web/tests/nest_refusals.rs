//! What cannot be nested is refused when the program starts. The hook of panics belongs to the process: this file has one
//! test.

mod util;

use web::{Application, Exchange};

async fn path(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(exchange.request().path().to_owned());
    Ok(())
}

/// What building an application says, and whether it says so of this file.
#[track_caller]
fn refusal(build: impl FnOnce() -> Application) -> (String, bool) {
    util::refusal::refusal(|| drop(build()))
}

#[test]
fn what_cannot_be_nested_is_refused_where_it_is_nested() {
    let nested = || Application::new().get("/x", path).get("/y/{id}", path);
    for prefix in ["", "admin", "/admin/", "/"] {
        let (message, here) = refusal(|| Application::new().nest(prefix, nested()));
        assert!(message.contains(&format!("the prefix {prefix:?} has to begin with a slash")) && here, "{message}");
    }
    let (message, here) = refusal(|| Application::new().get("/n/x", path).nest("/n", nested()));
    assert!(message.contains("GET /n/x has two handlers") && here, "{message}");
    let (message, here) = refusal(|| Application::new().get("/n/y/{other}", path).nest("/n", nested()));
    assert!(message.contains("\"/n/y/{id}\" cannot be added") && here, "{message}");
    let (message, here) = refusal(|| Application::new().nest("/n/{id}", nested()));
    assert!(message.contains("two parameters named \"id\"") && here, "{message}");
    let (message, here) = refusal(|| Application::new().nest("/a b", Application::new().fallback(path)));
    assert!(message.contains("\"/a b\" can never match") && here, "{message}");
}
