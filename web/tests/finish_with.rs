//! Responses whose body was made elsewhere.

mod util;

use util::in_process::{ask, get};
use web::{Application, Error, Exchange, HttpError, Method, StatusCode, httpserver::Body};

fn pieces() -> Body {
    Body::writer(async |mut out| {
        out.write("made ").await?;
        out.write("elsewhere").await
    })
}

#[test]
fn the_body_takes_the_place_of_what_was_written() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.write("dropped");
        exchange.set_status(StatusCode::CREATED);
        exchange.set_header("Content-Type", "text/x-pieces")?;
        exchange.finish_with(pieces())?;
        exchange.write("too late");
        assert!(exchange.is_finished() && !exchange.is_head_sent());
        exchange.flush().await
    }
    let answer = get(&Application::new().get("/", handler), "/");
    assert_eq!((answer.status, answer.text()), (201, "made elsewhere"));
    assert_eq!(answer.header("content-type"), Some("text/x-pieces"));
}

#[test]
fn without_a_type_it_has_that_of_write() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.finish_with("text")
    }
    let answer = get(&Application::new().get("/", handler), "/");
    assert_eq!((answer.text(), answer.header("content-type")), ("text", Some("text/html; charset=utf-8")));
}

#[test]
fn hooks_see_it_and_may_put_something_around_it() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.on_response(|response| {
            let mut body = response.take_body();
            response.set_body(Body::writer(async move |mut out| {
                while let Some(chunk) = body.chunk().await? {
                    out.write(chunk.to_ascii_uppercase()).await?;
                }
                Ok(())
            }));
        });
        exchange.finish_with(pieces())
    }
    assert_eq!(get(&Application::new().get("/", handler), "/").text(), "MADE ELSEWHERE");
}

#[test]
fn an_error_behind_it_is_answered_in_its_place() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.finish_with(pieces())?;
        Err(HttpError::new(StatusCode::CONFLICT).into())
    }
    let answer = get(&Application::new().get("/", handler), "/");
    assert_eq!(answer.status, 409);
    assert!(!answer.text().contains("made"), "{}", answer.text());
}

#[test]
fn a_request_that_has_its_answer_gets_no_other() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.finish_with("first")?;
        assert!(matches!(exchange.finish_with("second"), Err(Error::Finished)));
        Ok(())
    }
    async fn flushed(exchange: &mut Exchange) -> web::Result<()> {
        exchange.write("first");
        exchange.flush().await?;
        assert!(matches!(exchange.finish_with("second"), Err(Error::HeadSent)));
        Ok(())
    }
    let application = Application::new().get("/", handler).get("/flushed", flushed);
    assert_eq!(get(&application, "/").text(), "first");
    assert_eq!(get(&application, "/flushed").text(), "first");
}

#[test]
fn conditions_and_head_hold_for_it() {
    async fn handler(exchange: &mut Exchange) -> web::Result<()> {
        exchange.set_header("ETag", "\"1\"")?;
        exchange.finish_with(pieces())
    }
    let application = Application::new().get("/", handler);
    let head = ask(&application, Method::HEAD, "/");
    assert_eq!((head.status, head.text()), (200, ""));
    let request = web::Request::builder().target("/").header("If-None-Match", "\"1\"");
    let answer = util::in_process::send(&application, request);
    assert_eq!((answer.status, answer.text(), answer.header("content-type")), (304, "", None));
}
