//! The test kit: tokens of forms, signed cookies and sessions of a client.

#[path = "util/failure.rs"]
mod failure;

use std::time::Duration;

use failure::failure;
use web::{
    Application, Cookie, Exchange, Next, Route, StatusCode,
    security::{CookieSecret, LoginRequired, MemoryStore, Sessions, Xsrf},
    sleep,
    templates::{Templates, context},
    testing::{self, MultipartForm, TestClient},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the field `text`, wherever it is.
async fn take(exchange: &mut Exchange) -> web::Result<()> {
    let text = match exchange.header("content-type") {
        Some("application/json") => exchange.json::<String>().await?,
        _ => exchange.argument("text").await?,
    };
    exchange.write_text(text);
    Ok(())
}

async fn form(exchange: &mut Exchange) -> web::Result<()> {
    let field = exchange.xsrf_form_html()?;
    exchange.write(format!("<form method=post>{field}<input name=text></form>"));
    Ok(())
}

fn forms(xsrf: Xsrf) -> TestClient {
    let plain = async |exchange: &mut Exchange| {
        exchange.write("<form method=post></form>");
        Ok(())
    };
    TestClient::new(Application::new().get("/", form).get("/plain", plain).post("/", take).wrap(xsrf))
}

#[test]
fn a_form_is_sent_with_the_token_of_the_client() {
    testing::run(async {
        let client = forms(Xsrf::new());
        client.post("/").form([("text", "forged")]).send().await.assert_status(403);
        client.post("/").xsrf_form([("text", "a & b")]).send().await.assert_status(200).assert_text("a & b");
        client.post("/").xsrf_form::<&str, &str>([]).send().await.assert_status(400);
    });
}

#[test]
fn the_token_goes_in_a_header_with_a_body_of_any_kind() {
    testing::run(async {
        let client = forms(Xsrf::new());
        client.post("/").json("forged").send().await.assert_status(403);
        client.post("/").json("ours").xsrf().send().await.assert_text("ours");
        client.post("/").xsrf().form([("text", "ours too")]).send().await.assert_text("ours too");
    });
}

#[test]
fn the_token_is_a_field_of_a_form_with_files() {
    testing::run(async {
        let client = forms(Xsrf::new());
        let upload = MultipartForm::new().file("picture", "sea.png", "image/png", b"\x89PNG");
        client.post("/").multipart(&upload).send().await.assert_status(403);
        let upload = MultipartForm::new().text("_xsrf", &client.xsrf_token()).text("text", "at sea");
        assert_ne!(client.post("/").multipart(&upload).send().await.status(), StatusCode::FORBIDDEN);
    });
}

#[test]
fn the_token_is_that_of_the_cookie_which_the_application_has_set() {
    testing::run(async {
        let client = forms(Xsrf::new());
        let page = client.get("/").send().await;
        let of_page = page.xsrf_token().to_owned();
        let cookie = client.cookie("_xsrf").unwrap();
        assert_eq!(client.xsrf_token(), cookie);
        client.post("/").form([("text", "1"), ("_xsrf", &of_page)]).send().await.assert_text("1");
        client.post("/").xsrf_form([("text", "2")]).send().await.assert_text("2");
        assert_eq!(client.cookie("_xsrf").unwrap(), cookie, "it stays");

        let other = client.another();
        other.post("/").form([("text", "3"), ("_xsrf", &of_page)]).send().await.assert_status(403);
        assert_ne!(other.xsrf_token(), client.xsrf_token());
        other
            .post("/")
            .header("X-Xsrftoken", client.xsrf_token())
            .form([("text", "4")])
            .send()
            .await
            .assert_status(403);
    });
}

#[test]
fn a_page_without_a_token_fails_the_test_that_asks_for_it() {
    testing::run(async {
        let page = forms(Xsrf::new()).get("/plain").send().await;
        assert!(failure(|| page.xsrf_token()).contains("expected a form with a field _xsrf"));
    });
}

#[test]
fn the_cookie_with_the_token_may_have_another_name() {
    testing::run(async {
        let xsrf = Xsrf::new().cookie(Cookie::build("__Host-xsrf").secure(true));
        let client = forms(xsrf);
        client.post("/").xsrf_form([("text", "x")]).send().await.assert_status(403);
        let client = client.xsrf_cookie("__Host-xsrf");
        client.post("/").xsrf_form([("text", "x")]).send().await.assert_text("x");
        client.another().post("/").xsrf().form([("text", "y")]).send().await.assert_text("y");
    });
}

#[test]
fn a_token_that_a_template_has_shown_is_found_in_its_page() {
    testing::run(async {
        let text = "<form><p>{{ about }}</p>{{ xsrf_form_html() }}</form>";
        let application = Application::new()
            .get("/", async |exchange: &mut Exchange| exchange.render("form.html", context! { about => "it" }))
            .post("/", take)
            .templates(Templates::embedded([("form.html", text)]).unwrap())
            .wrap(Xsrf::new());
        let client = TestClient::new(application);
        let token = client.get("/").send().await.xsrf_token().to_owned();
        client.post("/").form([("_xsrf", &*token), ("text", "x")]).send().await.assert_text("x");
    });
}

/// Signs in by a query, and greets by a signed cookie.
async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    if let Some(name) = exchange.query_opt::<String>("name")? {
        exchange.set_signed_cookie(("user", name))?;
    }
    let user = exchange.signed_cookie("user")?;
    exchange.write_text(user.unwrap_or("nobody".to_owned()));
    Ok(())
}

#[test]
fn signed_cookies_are_written_and_read_with_the_keys_of_the_application() {
    testing::run(async {
        let secret = CookieSecret::rotating(2, [(1, "old"), (2, "new")]);
        let client = TestClient::new(Application::new().get("/", greet).cookie_secret(secret));
        assert_eq!(client.signed_cookie("user"), None);
        client.set_signed_cookie("user", "ada ü; \"x\"");
        client.get("/").send().await.assert_text("ada ü; \"x\"");

        client.get("/?name=grace").send().await;
        assert_eq!(client.signed_cookie("user").as_deref(), Some("grace"));
        assert_eq!(client.another().signed_cookie("user"), None);
        client.set_cookie("other", &client.cookie("user").unwrap());
        assert_eq!(client.signed_cookie("other"), None, "it is signed for another name");

        sleep(32 * DAY).await;
        assert_eq!(client.signed_cookie("user"), None, "it has expired");
    });
}

#[test]
fn keys_of_a_nested_application_are_named_by_the_test() {
    testing::run(async {
        let nested = Application::new().get("/", greet).cookie_secret("inner");
        let application = Application::new().get("/", greet).nest("/nested", nested).cookie_secret("outer");
        let client = TestClient::new(application);
        client.set_signed_cookie("user", "ada");
        client.get("/").send().await.assert_text("ada");
        client.get("/nested/").send().await.assert_text("nobody");
        let client = client.cookie_secret("inner");
        client.set_signed_cookie("user", "ada");
        client.get("/nested/").send().await.assert_text("ada");
        assert_eq!(client.another().cookie_secret("outer").signed_cookie("user"), None);
    });
}

#[test]
fn without_keys_a_signed_cookie_fails_the_test() {
    testing::run(async {
        let client = TestClient::with_server(Application::new().get("/", greet).cookie_secret("hidden").into_server());
        let text = failure(|| client.set_signed_cookie("user", "ada"));
        assert!(text.contains("TestClient::cookie_secret"), "{text}");
        let client = client.cookie_secret("hidden");
        client.set_signed_cookie("user", "ada");
        client.get("/").send().await.assert_text("ada");
    });
}

async fn count(exchange: &mut Exchange) -> web::Result<()> {
    let session = exchange.session().await?;
    let count = session.get::<u32>("count").unwrap_or(0) + 1;
    session.set("count", &count)?;
    exchange.write_text(count.to_string());
    Ok(())
}

async fn sign_out(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.destroy()
}

fn counting(sessions: Sessions) -> TestClient {
    let application = Application::new().get("/", count).post("/out", sign_out);
    TestClient::new(application.wrap(sessions).cookie_secret("of a test"))
}

#[test]
fn a_session_is_read_and_changed_without_a_request() {
    for sessions in [Sessions::in_store(MemoryStore::new()), Sessions::in_cookie()] {
        testing::run(async {
            let client = counting(sessions);
            assert!(client.session(|session| session.is_empty()).await);
            assert_eq!(client.cookie("session"), None, "an empty session is none");

            client.session(|session| session.set("count", &41).unwrap()).await;
            client.get("/").send().await.assert_text("42");
            assert_eq!(client.session(|session| session.get::<u32>("count")).await, Some(42));
            client.another().get("/").send().await.assert_text("1");

            let before = client.cookie("session");
            assert!(before.is_some());
            client.session(|session| session.remove("count").unwrap()).await;
            assert_eq!(client.cookie("session"), None, "a session without values ends");
            client.get("/").send().await.assert_text("1");
        });
    }
}

#[test]
fn a_session_that_the_application_ends_is_empty_for_the_test() {
    for sessions in [Sessions::in_store(MemoryStore::new()), Sessions::in_cookie()] {
        testing::run(async {
            let client = counting(sessions);
            client.get("/").send().await.assert_text("1");
            client.post("/out").send().await.assert_status(200);
            assert!(client.session(|session| session.is_empty()).await);
        });
    }
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    for sessions in [Sessions::in_store(MemoryStore::new()), Sessions::in_cookie()] {
        testing::run(async {
            let client = counting(sessions);
            client.session(|session| session.set("count", &1).unwrap()).await;
            sleep(DAY + Duration::from_secs(1)).await;
            assert!(client.session(|session| session.is_empty()).await);
        });
    }
}

#[test]
fn sessions_are_found_around_a_route_and_a_nested_application() {
    testing::run(async {
        let of_route = Sessions::in_store(MemoryStore::new());
        let client = TestClient::new(Application::new().add(Route::get("/", count).wrap(of_route)));
        client.session(|session| session.set("count", &1).unwrap()).await;
        client.get("/").send().await.assert_text("2");

        let nested = Application::new().get("/", count).wrap(Sessions::in_store(MemoryStore::new()));
        let client = TestClient::new(Application::new().nest("/nested", nested));
        client.session(|session| session.set("count", &1).unwrap()).await;
        client.get("/nested/").send().await.assert_text("2");

        let of_host = Application::new().get("/", count).wrap(Sessions::in_store(MemoryStore::new()));
        let client = TestClient::new(Application::new().host("example.org", of_host)).host("example.org");
        client.session(|session| session.set("count", &1).unwrap()).await;
        client.get("/").send().await.assert_text("2");
    });
}

#[test]
fn of_several_sessions_the_test_names_one() {
    testing::run(async {
        let inner = Sessions::in_store(MemoryStore::new()).cookie(Cookie::new("inner", ""));
        let nested = Application::new().get("/", count).wrap(inner.clone());
        let outer = Sessions::in_store(MemoryStore::new());
        let application = Application::new().get("/", count).wrap(outer).nest("/nested", nested);
        let client = TestClient::new(application).sessions(&inner);
        client.session(|session| session.set("count", &1).unwrap()).await;
        client.get("/nested/").send().await.assert_text("2");
        client.get("/").send().await.assert_text("1");
    });
}

#[test]
#[should_panic(expected = "the application has 2 `Sessions`")]
fn several_sessions_of_which_none_was_named_fail_the_test() {
    testing::run(async {
        let nested = Application::new().get("/", count).wrap(Sessions::in_cookie());
        let application = Application::new().get("/", count).wrap(Sessions::in_cookie()).nest("/n", nested);
        TestClient::new(application.cookie_secret("s")).session(|_| ()).await;
    });
}

#[test]
fn sessions_inside_of_a_wrap_are_named_by_the_test() {
    testing::run(async {
        let sessions = Sessions::in_store(MemoryStore::new());
        let hidden = sessions.clone();
        let around =
            async move |exchange: &mut Exchange, next: Next<'_>| web::Wrap::wrap(&hidden, exchange, next).await;
        let client = TestClient::new(Application::new().get("/", count).wrap(around)).sessions(&sessions);
        client.session(|session| session.set("count", &1).unwrap()).await;
        client.get("/").send().await.assert_text("2");
    });
}

#[test]
#[should_panic(expected = "no `Sessions` are known")]
fn an_application_without_sessions_fails_the_test() {
    testing::run(async { TestClient::new(Application::new()).session(|_| ()).await });
}

#[test]
fn what_is_behind_a_sign_in_is_tested_without_signing_in() {
    testing::run(async {
        async fn user(exchange: &mut Exchange) -> web::Result<Option<String>> {
            Ok(exchange.session().await?.get("user"))
        }
        async fn account(exchange: &mut Exchange) -> web::Result<()> {
            let user = exchange.found_user::<String>().expect("nobody else gets here");
            exchange.write_text(user.to_string());
            Ok(())
        }
        let behind = Application::new().get("/account", account).wrap(LoginRequired::forbid());
        let application =
            Application::new().merge(behind).current_user(user).wrap(Sessions::in_store(MemoryStore::new()));
        let client = TestClient::new(application);
        assert_ne!(client.get("/account").send().await.status(), StatusCode::OK);
        client.session(|session| session.set("user", "ada").unwrap()).await;
        client.get("/account").send().await.assert_text("ada");
    });
}
