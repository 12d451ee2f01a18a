//! JSON as a response.

mod util;

use util::{Server, serve};
use web::{Application, Error, Exchange, StatusCode};

async fn alone(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&[1, 2])
}

async fn with_headers(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Before", "1")?;
    exchange.write_json("a")?;
    exchange.set_header("X-After", "1")?;
    exchange.set_status(StatusCode::CREATED);
    Ok(())
}

async fn in_place_of_another_type(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("Content-Type", "text/csv")?;
    exchange.write_json("a")
}

async fn own_type(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json("a")?;
    exchange.set_header("Content-Type", "application/problem+json")
}

async fn behind_text(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("1,");
    exchange.write_json(&2)?;
    exchange.write_text(",3");
    Ok(())
}

async fn long(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&"x".repeat(100_000))
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&1)?;
    exchange.flush().await?;
    exchange.write_json(&2)
}

async fn fails(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json("dropped")?;
    Err(Error::http(StatusCode::CONFLICT, "no"))
}

async fn no_json(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("kept");
    let map = std::collections::HashMap::from([([1, 2], 3)]);
    assert!(exchange.write_json(&map).is_err());
    Ok(())
}

fn server() -> Server {
    serve(|| {
        Application::new()
            .get("/alone", alone)
            .get("/headers", with_headers)
            .get("/other", in_place_of_another_type)
            .get("/own", own_type)
            .get("/behind", behind_text)
            .get("/long", long)
            .get("/streamed", streamed)
            .get("/fails", fails)
            .get("/no-json", no_json)
    })
}

const JSON: &str = "application/json";

#[test]
fn json_is_named_as_json_once() {
    let server = server();
    for (path, text) in [("/alone", "[1,2]"), ("/other", "\"a\""), ("/behind", "1,2,3"), ("/streamed", "12")] {
        let reply = server.get(path);
        assert_eq!((reply.text(), reply.headers("content-type")), (text, vec![JSON]), "{path}");
    }
    assert_eq!(server.send("HEAD", "/alone", "", "").headers("content-type"), [JSON]);
    assert_eq!(server.get("/long").text().len(), 100_002);
}

#[test]
fn headers_around_json_stay() {
    let reply = server().get("/headers");
    assert_eq!((reply.status, reply.text()), (201, "\"a\""));
    assert_eq!((reply.header("x-before"), reply.header("x-after")), (Some("1"), Some("1")));
    assert_eq!(reply.headers("content-type"), [JSON]);
}

#[test]
fn a_type_set_behind_json_holds() {
    assert_eq!(server().get("/own").headers("content-type"), ["application/problem+json"]);
}

#[test]
fn an_error_behind_json_is_a_page() {
    let reply = server().get("/fails");
    assert_eq!(reply.status, 409);
    assert_eq!(reply.headers("content-type"), ["text/html; charset=utf-8"]);
}

#[test]
fn a_value_that_is_no_json_leaves_the_response_as_it_was() {
    let reply = server().get("/no-json");
    assert_eq!((reply.text(), reply.headers("content-type")), ("kept", vec!["text/plain; charset=utf-8"]));
}
