//! What comes ahead of a response and behind its body.

mod util;

use util::{Client, Server, serve};
use web::{Application, Error, Exchange, StatusCode};

async fn whole(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("hello");
    exchange.set_trailer("X-Sum", "5")
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_trailer("X-Early", "1")?;
    exchange.write_text("hel");
    exchange.flush().await?;
    exchange.write("lo");
    exchange.set_trailer("X-Sum", "5")
}

async fn counted(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("Content-Length", "5")?;
    streamed(exchange).await
}

async fn fails(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_trailer("X-Sum", "5")?;
    Err(Error::http(StatusCode::CONFLICT, "twice"))
}

async fn refused(exchange: &mut Exchange) -> web::Result<()> {
    for (name, value) in [("X", "a\r\nb"), ("a b", "1"), ("Content-Length", "1"), ("Set-Cookie\r\n", "1")] {
        assert!(exchange.set_trailer(name, value).is_err(), "{name}");
    }
    exchange.finish();
    assert!(exchange.set_trailer("X", "1").is_err());
    Ok(())
}

fn server() -> Server {
    serve(|| {
        Application::new()
            .get("/whole", whole)
            .get("/streamed", streamed)
            .get("/counted", counted)
            .get("/fails", fails)
            .get("/refused", refused)
    })
}

/// The body and what follows it.
fn body_and_trailers(client: &mut Client) -> (String, String) {
    let mut body = Vec::new();
    loop {
        let line = String::from_utf8(client.line()).unwrap();
        match usize::from_str_radix(line.trim(), 16).unwrap() {
            0 => break,
            size => {
                body.extend(client.take(size));
                client.take(2);
            }
        }
    }
    let mut trailers = String::new();
    loop {
        let line = String::from_utf8(client.line()).unwrap();
        if line == "\r\n" {
            return (String::from_utf8(body).unwrap(), trailers);
        }
        trailers += &line;
    }
}

#[test]
fn trailers_follow_the_body_streamed_or_not() {
    let server = server();
    for (target, expected) in [("/whole", "X-Sum: 5\r\n"), ("/streamed", "X-Early: 1\r\nX-Sum: 5\r\n")] {
        let mut client = server.connect();
        client.request("GET", target, "", "");
        let head = client.head();
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(body_and_trailers(&mut client), ("hello".to_owned(), expected.to_owned()), "{target}");
        // The connection goes on.
        client.request("GET", "/refused", "", "");
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn trailers_without_a_place_are_dropped() {
    let server = server();
    let reply = server.get("/counted");
    assert_eq!((reply.text(), reply.header("transfer-encoding")), ("hello", None));
    let reply = server.send("HEAD", "/whole", "", "");
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let mut old = server.connect();
    old.send("GET /whole HTTP/1.0\r\n\r\n");
    assert_eq!(old.head().status, 200);
    assert_eq!(old.rest(), b"hello");
    let reply = server.get("/fails");
    assert_eq!((reply.status, reply.header("transfer-encoding")), (409, None));
}

#[test]
fn hints_come_before_the_response() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.early_hints(["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"])?;
            assert!(exchange.early_hints(["</a>\r\nSet-Cookie: x=1"]).is_err());
            exchange.write("page");
            exchange.flush().await?;
            assert!(exchange.early_hints(["</too-late>"]).is_err());
            Ok(())
        })
    });
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    let hints = client.head();
    assert_eq!(hints.status, 103);
    assert_eq!(hints.headers("link"), ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"]);
    assert_eq!(client.reply().text(), "page");
}

#[test]
fn a_form_is_answered_with_see_other() {
    let server = serve(|| {
        Application::new().post("/", async |exchange: &mut Exchange| {
            exchange.write("dropped");
            exchange.see_other("/notes?q=ä b")
        })
    });
    let reply = server.post_form("/", "a=b");
    assert_eq!((reply.status, reply.header("location"), reply.text()), (303, Some("/notes?q=%C3%A4%20b"), ""));
}

#[test]
fn a_response_can_be_made_a_download() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.attachment("Umsätze.csv")?;
            exchange.write_text("a;b\n");
            Ok(())
        })
    });
    let reply = server.get("/");
    let expected = "attachment; filename=\"Ums_tze.csv\"; filename*=UTF-8''Ums%C3%A4tze.csv";
    assert_eq!((reply.header("content-disposition"), reply.text()), (Some(expected), "a;b\n"));
}
