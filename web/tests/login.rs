//! Users, and pages that are for them alone.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use web::{
    Application, Error, Exchange, Route, ServerOptions, StatusCode, XHeaders,
    security::LoginRequired,
    testing::{self, TestClient},
};

struct User(String);

async fn find_user(exchange: &mut Exchange) -> web::Result<Option<User>> {
    // What a user is looked up in may take its time.
    web::yield_now().await;
    Ok(exchange.header("X-User").map(|name| User(name.to_owned())))
}

async fn name(exchange: &mut Exchange) -> web::Result<()> {
    let user = exchange.current_user::<User>().await?;
    exchange.write_text(user.map_or("nobody".to_owned(), |user| user.0.clone()));
    Ok(())
}

fn guarded(login: &'static str) -> TestClient {
    let routes = Application::new().get("/{*path}", name).post("/{*path}", name).wrap(LoginRequired::to(login));
    let options = ServerOptions::new().xheaders(XHeaders::trusting(["127.0.0.1".parse().unwrap()]));
    TestClient::new(routes.current_user(find_user).server_options(options))
}

#[test]
fn a_user_is_found_once_per_request() {
    testing::run(async {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let find = async move |exchange: &mut Exchange| {
            counted.set(counted.get() + 1);
            find_user(exchange).await
        };
        let twice = async |exchange: &mut Exchange| {
            assert!(exchange.current_user::<User>().await?.is_none());
            name(exchange).await
        };
        let routes =
            Application::new().get("/", name).get("/twice", twice).get("/none", async |_: &mut Exchange| Ok(()));
        let client = TestClient::new(routes.current_user(find));
        client.get("/").header("X-User", "ada").send().await.assert_text("ada");
        assert_eq!(count.get(), 1);
        client.get("/twice").send().await.assert_text("nobody");
        assert_eq!(count.get(), 2);
        client.get("/none").header("X-User", "ada").send().await.assert_status(200);
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn who_has_not_signed_in_is_sent_to_the_login_page() {
    testing::run(async {
        let client = guarded("/login");
        client.get("/account").header("X-User", "ada").send().await.assert_text("ada");
        for (target, next) in [
            ("/account", "%2Faccount"),
            ("/a/b?c=d&e=f%20g", "%2Fa%2Fb%3Fc%3Dd%26e%3Df%2520g"),
            ("/a?next=http://evil.net", "%2Fa%3Fnext%3Dhttp%3A%2F%2Fevil.net"),
            ("http://localhost/absolute?a", "%2Fabsolute%3Fa"),
        ] {
            let response = client.get(target).send().await;
            response.assert_status(302).assert_header("location", format!("/login?next={next}"));
        }
        client.head("/account").send().await.assert_status(302);
    });
}

#[test]
fn other_methods_are_refused() {
    testing::run(async {
        let client = guarded("/login");
        client.post("/account").send().await.assert_status(403).assert_no_header("location");
        client.post("/account").header("X-User", "ada").send().await.assert_text("ada");
        client.delete("/account").send().await.assert_status(403);
        let forbidding = Application::new().get("/", name).wrap(LoginRequired::forbid()).current_user(find_user);
        TestClient::new(forbidding).get("/").send().await.assert_status(403);
    });
}

#[test]
fn a_login_page_elsewhere_is_told_the_whole_url() {
    testing::run(async {
        let client = guarded("https://login.example.com/");
        let request = client.get("/account?a=b").header("X-Forwarded-Proto", "https").header("Host", "app.example.com");
        let location = "https://login.example.com/?next=https%3A%2F%2Fapp.example.com%2Faccount%3Fa%3Db";
        request.send().await.assert_header("location", location);
    });
}

#[test]
fn a_login_page_with_a_query_is_used_as_it_is() {
    testing::run(async {
        guarded("/login?realm=a").get("/account").send().await.assert_header("location", "/login?realm=a");
    });
}

#[test]
fn a_search_that_fails_is_the_answer() {
    testing::run(async {
        let find = async |_: &mut Exchange| -> web::Result<Option<User>> {
            Err(Error::http(StatusCode::SERVICE_UNAVAILABLE, "The database is away"))
        };
        let routes = Application::new().get("/", name).wrap(LoginRequired::to("/login")).current_user(find);
        TestClient::new(routes).get("/").send().await.assert_status(503);
    });
}

#[test]
fn a_user_who_signs_in_is_there_at_once() {
    testing::run(async {
        let enter = async |exchange: &mut Exchange| {
            assert!(exchange.found_user::<User>().is_none());
            exchange.set_current_user(Some(User("grace".to_owned())));
            name(exchange).await
        };
        let client = TestClient::new(Application::new().get("/", enter).current_user(find_user));
        client.get("/").send().await.assert_text("grace");
    });
}

#[test]
fn a_guard_without_users_is_found_when_the_server_starts() {
    let build = || {
        let route = Route::get("/", name).wrap(LoginRequired::to("/login"));
        Application::new().add(route).into_server()
    };
    assert!(catch_unwind(AssertUnwindSafe(build)).is_err());
}
