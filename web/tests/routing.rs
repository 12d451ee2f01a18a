//! From method and path to a handler.

mod util;

use util::in_process::Local;
use web::{Application, Exchange, Method};

async fn path(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(format!("{} {}", exchange.method(), exchange.request().path()));
    Ok(())
}

async fn id(exchange: &mut Exchange) -> web::Result<()> {
    let id: u64 = exchange.path("id")?;
    exchange.write(format!("id {id}"));
    Ok(())
}

async fn rest(exchange: &mut Exchange) -> web::Result<()> {
    let rest: String = exchange.path("rest")?;
    exchange.write(format!("rest {rest}"));
    Ok(())
}

fn server() -> Local {
    Local(
        Application::new()
            .get("/", path)
            .get("/user/{id}", id)
            .delete("/user/{id}", path)
            .get("/user/me", path)
            .get("/files/{*rest}", rest)
            .get("/image/{id}.png", id)
            .get("/caf%C3%A9/a%20b", path)
            .get("/wrong/{identifier}", id)
            .route(Method::from_bytes(b"PURGE").unwrap(), "/cache", path),
    )
}

#[test]
fn fixed_text_goes_before_parameters() {
    let server = server();
    assert_eq!(server.get("/").text(), "GET /");
    assert_eq!(server.get("/user/7").text(), "id 7");
    assert_eq!(server.get("/user/me").text(), "GET /user/me");
    assert_eq!(server.get("/image/12.png").text(), "id 12");
}

#[test]
fn parameters_are_percent_decoded_and_plus_is_a_plus() {
    let server = server();
    assert_eq!(server.get("/files/a%20b/c+d%2Fe%C3%A9").text(), "rest a b/c+d/eé");
}

#[test]
fn patterns_are_written_as_clients_send_them() {
    let server = server();
    assert_eq!(server.get("/caf%C3%A9/a%20b").text(), "GET /caf%C3%A9/a%20b");
}

#[test]
fn a_parameter_that_the_route_does_not_have_is_500() {
    let server = server();
    let reply = server.get("/wrong/7");
    assert_eq!(reply.status, 500);
    assert!(!reply.text().contains("identifier"), "{reply:?}");
}

#[test]
fn a_parameter_that_does_not_parse_is_400() {
    let server = server();
    let reply = server.get("/user/seven");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("Invalid path parameter id"));
}

#[test]
fn a_parameter_that_is_not_utf8_is_400() {
    let server = server();
    assert_eq!(server.get("/files/%ff%fe").status, 400);
}

#[test]
fn unknown_paths_are_404() {
    let server = server();
    for target in ["/nothing", "/user/7/", "//", "/user", "/files/", "/%75ser/7"] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn other_methods_are_405_and_told_which_are_allowed() {
    let server = server();
    let reply = server.send("POST", "/user/7", "", "");
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow"), Some("GET, HEAD, DELETE, OPTIONS"));
    assert_eq!(reply.text(), "<html><title>405: Method Not Allowed</title><body>405: Method Not Allowed</body></html>");
    let reply = server.send("BREW", "/", "", "");
    assert_eq!(reply.status, 405);
}

#[test]
fn methods_of_any_name_can_have_a_route() {
    let server = server();
    assert_eq!(server.send("PURGE", "/cache", "", "").text(), "PURGE /cache");
    assert_eq!(server.get("/cache").header("allow"), Some("PURGE, OPTIONS"));
}

#[test]
fn the_fallback_answers_what_has_no_route() {
    let server = Local(Application::new().get("/known", path).fallback(path));
    assert_eq!(server.get("/known").text(), "GET /known");
    assert_eq!(server.get("/unknown").text(), "GET /unknown");
    assert_eq!(server.send("PUT", "/x", "", "").text(), "PUT /x");
    assert_eq!(server.send("PUT", "/known", "", "").status, 405);
}

#[test]
fn the_absolute_form_finds_the_same_route() {
    let server = server();
    assert_eq!(server.get("http://test/user/7?x=1").text(), "id 7");
}

#[test]
#[should_panic(expected = "\"/user/{name}\" cannot be added")]
fn conflicting_patterns_panic_with_their_text() {
    let _ = Application::new().get("/user/{id}", path).post("/user/{name}", path);
}

#[test]
#[should_panic(expected = "GET /a has two handlers")]
fn a_route_cannot_be_added_twice() {
    let _ = Application::new().get("/a", path).get("/a", path);
}

#[test]
#[should_panic(expected = "does not begin with a slash")]
fn a_pattern_begins_with_a_slash() {
    let _ = Application::new().get("a", path);
}

#[test]
#[should_panic(expected = "\"/{\" cannot be added")]
fn a_malformed_pattern_panics() {
    let _ = Application::new().get("/{", path);
}

#[test]
fn a_pattern_that_can_never_match_panics_and_names_itself() {
    for pattern in ["/caf\u{e9}", "/a b", "/what?", "/x#y", "/100%", "/:id", "/*path", "/files/*", "/a\\b"] {
        let panicked = std::panic::catch_unwind(|| drop(Application::new().get(pattern, path))).expect_err(pattern);
        let message = panicked.downcast_ref::<String>().expect("a text");
        assert!(message.contains(&format!("{pattern:?}")) && message.contains("write "), "{message}");
    }
}
