//! Plain text as a response.

mod util;

use util::{Server, serve};
use web::{Application, Error, Exchange, StatusCode};

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let text: String = exchange.query("text")?;
    exchange.write_text(text);
    Ok(())
}

async fn with_headers(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("one ");
    exchange.set_header("X-Test", "1")?;
    exchange.set_status(StatusCode::CREATED);
    exchange.write("two");
    Ok(())
}

async fn own_type(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("Content-Type", "text/csv")?;
    exchange.write_text("a,b\n");
    Ok(())
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("one ");
    exchange.flush().await?;
    exchange.write_text("two");
    Ok(())
}

async fn fails(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("dropped");
    Err(Error::http(StatusCode::CONFLICT, "<twice>"))
}

fn server() -> Server {
    serve(|| {
        Application::new()
            .get("/echo", echo)
            .get("/headers", with_headers)
            .get("/own", own_type)
            .get("/streamed", streamed)
            .get("/fails", fails)
    })
}

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

#[test]
fn text_is_sent_as_it_is_and_named_as_text() {
    let server = server();
    let reply = server.get("/echo?text=%3Cscript%3E%C3%A9");
    assert_eq!((reply.status, reply.text()), (200, "<script>\u{e9}"));
    assert_eq!(reply.header("content-type"), TEXT);
    assert_eq!(server.send("HEAD", "/echo?text=a", "", "").header("content-type"), TEXT);
    assert_eq!(server.get("/echo?text=").header("content-type"), None, "nothing has no type");
}

#[test]
fn one_text_makes_all_of_the_response_text() {
    let reply = server().get("/headers");
    assert_eq!((reply.status, reply.text()), (201, "one two"));
    assert_eq!(reply.headers("content-type"), [TEXT.unwrap()]);
    assert_eq!(reply.header("x-test"), Some("1"));
    let reply = server().get("/streamed");
    assert_eq!((reply.text(), reply.header("content-type")), ("one two", TEXT));
}

#[test]
fn a_type_of_the_handlers_own_stays() {
    assert_eq!(server().get("/own").headers("content-type"), ["text/csv"]);
}

#[test]
fn the_page_of_an_error_is_html_again() {
    let reply = server().get("/fails");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.text().contains("409: &lt;twice&gt;"), "{reply:?}");
}
