//! What a client sees of errors.

mod util;

use util::{Server, serve};
use web::{Application, Error, Exchange, HttpError, Method, RequestHandler, StatusCode};

async fn header(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("dropped");
    let name: String = exchange.query_opt("name")?.unwrap_or("X-Test".to_owned());
    exchange.set_header(&name, exchange.query::<String>("value")?)
}

async fn redirect(exchange: &mut Exchange) -> web::Result<()> {
    let to: String = exchange.query("to")?;
    exchange.redirect(&to)
}

async fn io(_: &mut Exchange) -> web::Result<()> {
    std::fs::read("/nonexistent/secret")?;
    Ok(())
}

async fn teapot(_: &mut Exchange) -> web::Result<()> {
    Err(HttpError::new(StatusCode::IM_A_TEAPOT)
        .message("<b>short & stout</b>")
        .header("Retry-After", "5")
        .log("for the log alone")
        .into())
}

async fn panics(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("dropped");
    panic!("secret")
}

async fn nothing(_: &mut Exchange) -> web::Result<()> {
    Ok(())
}

struct OwnPage;

impl RequestHandler for OwnPage {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.set_header("X-Lost", "1")?;
        Err(Error::http(StatusCode::CONFLICT, "own"))
    }

    fn write_error(&self, exchange: &mut Exchange, error: &Error) {
        exchange.write(format!("handler: {}", error.message()));
    }
}

fn routes() -> Application {
    Application::new()
        .get("/header", header)
        .get("/redirect", redirect)
        .get("/io", io)
        .get("/teapot", teapot)
        .get("/panic", panics)
        .get("/nothing", nothing)
        .handler("/own", OwnPage)
}

fn server() -> Server {
    serve(routes)
}

#[test]
fn the_default_page_is_tornados() {
    let reply = server().get("/unknown");
    assert_eq!(reply.status, 404);
    assert_eq!(reply.header("content-length"), Some("69"));
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(reply.text(), "<html><title>404: Not Found</title><body>404: Not Found</body></html>");
}

#[test]
fn the_servers_faults_are_not_explained_to_the_client() {
    let server = server();
    for target in ["/io", "/panic"] {
        let reply = server.get(target);
        assert_eq!(reply.status, 500, "{target}");
        assert!(reply.text().contains("500: Internal Server Error"));
        for word in ["secret", "nonexistent", "dropped"] {
            assert!(!reply.text().contains(word), "{target}: {word}");
        }
    }
}

#[test]
fn messages_are_escaped_and_the_logs_text_stays_there() {
    let reply = server().get("/teapot");
    assert_eq!(reply.status, 418);
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert!(reply.text().contains("418: &lt;b&gt;short &amp; stout&lt;/b&gt;"));
    assert!(!reply.text().contains("log"));
}

#[test]
fn the_connection_survives_errors() {
    let server = server();
    let mut client = server.connect();
    for (target, status) in [("/unknown", 404), ("/panic", 500), ("/teapot", 418), ("/nothing", 200)] {
        client.request("GET", target, "", "");
        assert_eq!(client.reply().status, status, "{target}");
    }
}

#[test]
fn an_application_can_have_its_own_page() {
    let server = serve(|| {
        routes().error_page(|exchange, error| {
            if error.status() != StatusCode::IM_A_TEAPOT {
                let _ = exchange.set_header("Content-Type", "text/plain");
                exchange.write(format!("application: {}", error.message()));
            }
        })
    });
    let reply = server.get("/unknown");
    assert_eq!((reply.status, reply.text()), (404, "application: Not Found"));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    let reply = server.send("POST", "/io", "", "");
    assert_eq!((reply.status, reply.text()), (405, "application: Method Not Allowed"));
    assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    // Where it writes nothing, the default page is used; where a handler writes, it is not asked.
    assert!(server.get("/teapot").text().starts_with("<html>"));
    assert_eq!(server.get("/own").text(), "handler: own");
}

#[test]
fn a_handlers_own_page_starts_afresh() {
    let reply = server().get("/own");
    assert_eq!((reply.status, reply.text()), (409, "handler: own"));
    assert_eq!(reply.header("x-lost"), None);
}

#[test]
fn panics_behind_the_handler_do_not_break_the_answer() {
    struct Clumsy;
    impl RequestHandler for Clumsy {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            match exchange.query_opt::<u8>("fail")? {
                Some(_) => Err(Error::http(StatusCode::CONFLICT, "as asked")),
                None => {
                    exchange.write("fine");
                    Ok(())
                }
            }
        }
        fn write_error(&self, exchange: &mut Exchange, _: &Error) {
            exchange.write("half a page");
            panic!("on purpose");
        }
        fn on_finish(&self, _: &mut Exchange) {
            panic!("on purpose");
        }
    }
    let server = serve(|| Application::new().handler("/", Clumsy));
    let mut client = server.connect();
    client.request("GET", "/?fail=1", "", "");
    let reply = client.reply();
    assert_eq!(reply.status, 409);
    assert!(reply.text().ends_with("<body>409: as asked</body></html>") && reply.text().starts_with("<html>"));
    client.request("GET", "/", "", "");
    assert_eq!(client.reply().text(), "fine");
}

#[test]
fn header_values_cannot_begin_a_new_line() {
    let server = server();
    for value in ["a%0d%0aX-Evil:%201", "a%0db", "a%0ab", "a%00b", "%1b"] {
        let reply = server.get(&format!("/header?value={value}"));
        assert_eq!(reply.status, 500, "{value}");
        assert_eq!(reply.header("x-evil"), None);
        assert!(!reply.text().contains("dropped"));
    }
    for name in ["a%0d%0ab", "a%20b", "a:", ""] {
        assert_eq!(server.get(&format!("/header?value=1&name={name}")).status, 500, "{name}");
    }
    assert_eq!(server.get("/header?value=fine").header("x-test"), Some("fine"));
}

#[test]
fn locations_are_encoded_and_cannot_begin_a_new_line() {
    let server = server();
    let to = |to: &str| server.get(&format!("/redirect?to={to}"));
    let reply = to("/a%20b/%C3%A9?c=%2541%26d%23e");
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), Some("/a%20b/%C3%A9?c=%41&d#e"));
    assert_eq!(reply.header("content-length"), Some("0"));
    assert_eq!(to("/%5cevil.com").header("location"), Some("/%5Cevil.com"));
    for hazard in ["/a%0d%0aSet-Cookie:%20x=1", "/%00", "/%7f"] {
        let reply = to(hazard);
        assert_eq!(reply.status, 500, "{hazard}");
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(reply.header("location"), None);
    }
}

#[test]
fn a_response_without_a_body_has_no_type() {
    let reply = server().get("/nothing");
    assert_eq!((reply.status, reply.header("content-type")), (200, None));
    assert_eq!(reply.header("content-length"), Some("0"));
    assert_eq!(reply.header("server"), None);
    assert!(reply.header("date").is_some());
}

#[test]
fn a_body_cut_short_by_a_client_that_still_reads_is_400() {
    let server = serve(|| {
        Application::new()
            .post("/", async |exchange: &mut Exchange| exchange.bytes().await.map(|body| exchange.write(body)))
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    client.shutdown_write();
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (400, Some("close")));
    assert_eq!(client.rest(), b"");
}
