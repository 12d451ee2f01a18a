//! CONNECT and 101, which would turn the connection into something else, and TRACE, which would show a client's secrets to
//! its scripts.

mod util;

use util::{in_process::ask, serve};
use web::{Application, Exchange, Method, StatusCode};

async fn ok(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("ok");
    Ok(())
}

#[test]
fn connect_is_501_also_where_a_fallback_exists() {
    let server = serve(|| Application::new().get("/", ok).fallback(ok));
    for target in ["example.com:443", "127.0.0.1:22"] {
        let mut client = server.connect();
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status, 501, "{target}");
        assert!(reply.text().contains("501: Not Implemented"));
    }
}

#[test]
fn connect_has_the_page_of_the_application() {
    let application = Application::new()
        .fallback(ok)
        .error_page(|exchange, error| exchange.write(format!("page of {}", error.status().as_u16())));
    let answer = ask(&application, Method::CONNECT, "example.com:443");
    assert_eq!((answer.status, answer.text()), (501, "page of 501"));
}

#[test]
#[should_panic(expected = "the route \"/{*path}\" can never match: CONNECT asks for a tunnel")]
fn a_route_for_connect_is_refused() {
    let _ = Application::new().route(Method::CONNECT, "/{*path}", ok);
}

#[test]
fn a_101_that_a_handler_sets_is_500() {
    let server = serve(|| {
        Application::new()
            .get("/whole", async |exchange: &mut Exchange| {
                exchange.set_status(StatusCode::SWITCHING_PROTOCOLS);
                exchange.set_header("Upgrade", "websocket")
            })
            .get("/streamed", async |exchange: &mut Exchange| {
                exchange.set_status(StatusCode::SWITCHING_PROTOCOLS);
                exchange.write("frames");
                exchange.flush().await
            })
    });
    for target in ["/whole", "/streamed"] {
        let mut client = server.connect();
        client.request("GET", target, "Connection: upgrade\r\nUpgrade: websocket\r\n", "");
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("upgrade")), (500, None), "{target}");
        assert!(!reply.text().contains("frames"));
        // Still HTTP.
        assert_eq!(server.get("/unknown").status, 404);
    }
}

#[test]
fn trace_is_never_echoed() {
    let server = serve(|| Application::new().get("/", ok));
    for (target, status) in [("/", 405), ("/nowhere", 404)] {
        let mut client = server.connect();
        client.send(format!("TRACE {target} HTTP/1.1\r\nHost: a\r\nCookie: secret=1\r\nMax-Forwards: 0\r\n\r\n"));
        let reply = client.reply();
        assert_eq!(reply.status, status, "{target}");
        assert!(!reply.text().contains("secret") && !reply.text().contains("TRACE"), "{}", reply.text());
    }
}
