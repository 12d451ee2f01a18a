//! Nothing changes a response that is finished.

mod util;

use util::in_process::get;
use web::{Application, Error, Exchange, Next, StatusCode};

/// Tries to change the response in every way there is, and shows the errors.
fn change(exchange: &mut Exchange) -> Vec<Error> {
    exchange.set_status(StatusCode::IM_A_TEAPOT);
    exchange.remove_header("X-Kept");
    exchange.write("more");
    exchange.write_text("more");
    let attempts = [
        exchange.set_header("X-Kept", "changed"),
        exchange.set_header("Content-Type", "text/plain"),
        exchange.append_header("X-Added", "1"),
        exchange.redirect("/elsewhere"),
        exchange.redirect_with(StatusCode::SEE_OTHER, "/elsewhere"),
        exchange.set_cookie(("a", "b")),
        exchange.clear_cookie("c"),
    ];
    attempts.into_iter().map(|attempt| attempt.expect_err("it is too late")).collect()
}

async fn finished(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_status(StatusCode::ACCEPTED);
    exchange.set_header("X-Kept", "yes")?;
    exchange.set_cookie(("kept", "1"))?;
    exchange.write("whole");
    exchange.finish();
    assert!(change(exchange).iter().all(|error| matches!(error, Error::Finished)));
    Ok(())
}

async fn redirected(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Kept", "yes")?;
    exchange.write("dropped");
    exchange.redirect("/new")?;
    assert!(change(exchange).iter().all(|error| matches!(error, Error::Finished)));
    assert_eq!(exchange.status(), StatusCode::FOUND);
    Ok(())
}

async fn flushed(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Kept", "yes")?;
    exchange.write("begun");
    exchange.flush().await?;
    exchange.write(", ");
    exchange.finish();
    assert!(change(exchange).iter().all(|error| matches!(error, Error::HeadSent)));
    exchange.flush().await
}

#[test]
fn nothing_changes_after_finish() {
    let answer = get(&Application::new().get("/", finished), "/");
    assert_eq!((answer.status, answer.text()), (202, "whole"));
    assert_eq!((answer.header("x-kept"), answer.header("x-added")), (Some("yes"), None));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "not that of write_text");
    assert_eq!(answer.header("set-cookie"), Some("kept=1; Path=/"));
}

#[test]
fn nothing_changes_after_a_redirect() {
    let answer = get(&Application::new().get("/", redirected), "/");
    assert_eq!((answer.status, answer.text(), answer.header("location")), (302, "", Some("/new")));
    assert_eq!((answer.header("x-kept"), answer.header("set-cookie")), (Some("yes"), None));
}

#[test]
fn nothing_changes_after_a_stream_was_finished() {
    let answer = get(&Application::new().get("/", flushed), "/");
    assert_eq!((answer.status, answer.text(), answer.header("x-kept")), (200, "begun, ", Some("yes")));
}

#[test]
fn a_wrap_cannot_change_what_its_handler_has_finished() {
    let application = Application::new().get("/", finished).get("/old", redirected).wrap(
        async |exchange: &mut Exchange, next: Next<'_>| {
            next.run(exchange).await?;
            assert!(exchange.is_finished());
            assert!(matches!(exchange.set_header("X-Late", "1"), Err(Error::Finished)));
            Ok(())
        },
    );
    assert_eq!((get(&application, "/").status, get(&application, "/old").status), (202, 302));
}

#[test]
fn an_error_after_finish_has_its_page_nevertheless() {
    let application = Application::new().get("/", async |exchange: &mut Exchange| {
        exchange.write("dropped");
        exchange.finish();
        Err(Error::http(StatusCode::CONFLICT, "after all"))
    });
    let answer = get(&application, "/");
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("409: after all") && !answer.text().contains("dropped"));
}
