//! Cookies on the wire.

mod util;

use std::time::Duration;

use util::{Server, serve};
use web::{Application, Cookie, Exchange, SameSite, StatusCode};

async fn set(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_cookie(("plain", "1"))?;
    exchange.set_cookie(
        Cookie::build(("full", "two words; \"é\""))
            .path("/deep")
            .domain("example.com")
            .http_only(true)
            .secure(true)
            .same_site(SameSite::Lax)
            .max_age(Duration::from_secs(3600)),
    )?;
    exchange.set_cookie(("plain", "2"))?;
    exchange.clear_cookie("gone")
}

async fn show(exchange: &mut Exchange) -> web::Result<()> {
    let name: String = exchange.query("name")?;
    exchange.write(format!("{:?}", exchange.cookie(&name)));
    Ok(())
}

async fn from_outside(exchange: &mut Exchange) -> web::Result<()> {
    let cookie = Cookie::build((exchange.query::<String>("name")?, exchange.query::<String>("value")?));
    let cookie = match exchange.query_opt::<String>("path")? {
        Some(path) => cookie.path(path),
        None => cookie,
    };
    let cookie = match exchange.query_opt::<String>("domain")? {
        Some(domain) => cookie.domain(domain),
        None => cookie,
    };
    exchange.set_cookie(cookie)
}

async fn log_out(exchange: &mut Exchange) -> web::Result<()> {
    exchange.clear_cookie("session")?;
    exchange.set_header("X-Lost", "with the rest")?;
    Err(web::HttpError::new(StatusCode::UNAUTHORIZED).header("WWW-Authenticate", "Basic").into())
}

fn server() -> Server {
    serve(|| {
        Application::new().get("/set", set).get("/show", show).get("/outside", from_outside).get("/log-out", log_out)
    })
}

#[test]
fn cookies_are_set_with_their_attributes() {
    let server = server();
    let reply = server.get("/set");
    let cookies = reply.headers("set-cookie");
    assert_eq!(cookies.len(), 3, "{reply:?}");
    let full = cookies[0];
    assert!(full.starts_with(r#"full="two words\073 \"\303\251\""; "#), "{full}");
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/deep", "Domain=example.com", "Max-Age=3600"] {
        assert!(full.split("; ").any(|part| part == attribute), "{attribute}: {full}");
    }
    assert_eq!(cookies[1], "plain=2; Path=/");
    assert!(cookies[2].starts_with("gone=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970"), "{}", cookies[2]);
}

#[test]
fn the_last_cookie_of_a_name_wins() {
    let server = server();
    let read = |line: &str, name: &str| {
        let headers = format!("Cookie: {line}\r\n");
        server.send("GET", &format!("/show?name={name}"), &headers, "").text().to_owned()
    };
    assert_eq!(read("a=1; b=2; a=3", "a"), "Some(\"3\")");
    assert_eq!(read("a=1", "b"), "None");
    assert_eq!(read(r#"a="two words\073 \"\303\251\"""#, "a"), r#"Some("two words; \"é\"")"#);
    assert_eq!(read("a=x[y; b=\"1; c=2\"", "c"), "Some(\"2\\\"\")");
}

#[test]
fn a_byte_that_is_not_utf8_costs_its_own_cookie_alone() {
    let server = server();
    let mut client = server.connect();
    client.request_bytes("GET", "/show?name=session", b"Cookie: session=abc; x=\xff\r\n");
    assert_eq!(client.reply().text(), "Some(\"abc\")");
    client.request_bytes("GET", "/show?name=x", b"Cookie: session=abc; x=\xff\r\n");
    assert_eq!(client.reply().text(), "None");
}

#[test]
fn several_cookie_lines_count_as_one() {
    let server = server();
    let reply = server.send("GET", "/show?name=b", "Cookie: a=1\r\nCookie: b=2\r\n", "");
    assert_eq!(reply.text(), "Some(\"2\")");
}

#[test]
fn text_from_outside_cannot_add_lines_or_attributes() {
    let server = server();
    for target in [
        "/outside?name=a&value=x%0d%0aSet-Cookie:%20evil=1",
        "/outside?name=a&value=x%00",
        "/outside?name=a%3bb&value=1",
        "/outside?name=a%0d%0ab&value=1",
        "/outside?name=&value=1",
        "/outside?name=a&value=1&path=/;%20Domain=evil",
        "/outside?name=a&value=1&path=/%0d%0ax",
        "/outside?name=a&value=1&path=/%7f",
        "/outside?name=a&value=1&path=elsewhere",
        "/outside?name=a&value=1&domain=evil;%20SameSite=None",
        "/outside?name=a&value=1&domain=evil%20",
        "/outside?name=a&value=1&domain=evil%0d%0aSet-Cookie:%20b=2",
        "/outside?name=__Host-a&value=1&domain=example.com",
    ] {
        let reply = server.get(target);
        assert_eq!(reply.status, 500, "{target}");
        assert_eq!(reply.header("set-cookie"), None, "{target}");
    }
    let reply = server.get("/outside?name=a&value=1;%20Domain=evil");
    assert_eq!(reply.header("set-cookie"), Some(r#"a="1\073 Domain=evil"; Path=/"#));
}

#[test]
fn cookies_survive_an_error_and_other_headers_do_not() {
    let server = server();
    let reply = server.get("/log-out");
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Basic"));
    assert_eq!(reply.headers("set-cookie").len(), 1);
    assert_eq!(reply.header("x-lost"), None);
}

#[test]
fn unquoting_a_long_value_takes_linear_time() {
    // A quadratic loop would need minutes for these.
    let server = server();
    for piece in [r"\012", "\\\"", "\\", ";"] {
        let value = piece.repeat(12_000);
        let headers = format!("Cookie: a=\"{value}\"\r\n");
        let reply = server.send("GET", "/show?name=a", &headers, "");
        assert!(reply.status == 200 || reply.status == 431, "{piece}: {}", reply.status);
    }
}
