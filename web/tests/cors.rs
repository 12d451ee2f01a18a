//! What pages of other origins may read.

use std::time::Duration;

use proptest::prelude::*;
use web::{
    Application, Error, Exchange, Method, StatusCode,
    security::Cors,
    testing::{self, TestClient, TestResponse},
};

const APP: &str = "https://app.example.com";
const ALLOW: &str = "access-control-allow-origin";

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Total", "7")?;
    exchange.write_text("hello");
    Ok(())
}

async fn fail(_: &mut Exchange) -> web::Result<()> {
    Err(Error::http(StatusCode::CONFLICT, "No"))
}

async fn panic(_: &mut Exchange) -> web::Result<()> {
    panic!("on purpose");
}

async fn stream(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("one");
    exchange.flush().await?;
    exchange.write_text("two");
    Ok(())
}

fn client(cors: Cors) -> TestClient {
    let routes = Application::new().get("/", hello).put("/", hello).get("/fail", fail).get("/panic", panic);
    TestClient::new(routes.get("/stream", stream).wrap(cors))
}

fn app() -> Cors {
    Cors::new().origin(APP)
}

async fn preflight(client: &TestClient, origin: &str, method: &str, headers: Option<&str>) -> TestResponse {
    let request = client.request(Method::OPTIONS, "/").header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    match headers {
        Some(headers) => request.header("Access-Control-Request-Headers", headers).send().await,
        None => request.send().await,
    }
}

#[test]
fn pages_that_are_let_in_may_read_answers_of_all_kinds() {
    testing::run(async {
        let client = client(app());
        for (target, status) in [("/", 200), ("/fail", 409), ("/panic", 500), ("/nowhere", 404), ("/stream", 200)] {
            let response = client.get(target).header("Origin", APP).send().await;
            response.assert_status(StatusCode::from_u16(status).unwrap());
            response.assert_header(ALLOW, APP).assert_header("vary", "Origin");
            response.assert_no_header("access-control-allow-credentials");
        }
        client.delete("/").header("Origin", APP).send().await.assert_status(405).assert_header(ALLOW, APP);
    });
}

#[test]
fn others_may_not_and_caches_are_told() {
    testing::run(async {
        let client = client(app());
        for origin in [
            "https://evil.example",
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "https://app.example.com:8443",
            "https://xapp.example.com",
            "https://localhost",
            "http://localhost",
            "null",
            "*",
            "",
        ] {
            let response = client.get("/").header("Origin", origin).send().await;
            response.assert_status(200).assert_no_header(ALLOW).assert_header("vary", "Origin");
            let response = preflight(&client, origin, "PUT", None).await;
            response.assert_status(204).assert_no_header(ALLOW).assert_no_header("access-control-allow-methods");
        }
        client.get("/").send().await.assert_no_header(ALLOW).assert_header("vary", "Origin");
        let two = client.get("/").header("Origin", APP).header("Origin", "https://evil.example").send().await;
        two.assert_no_header(ALLOW);
    });
}

#[test]
fn a_preflight_is_answered_before_any_handler() {
    testing::run(async {
        let cors = app().methods([Method::GET, Method::PUT]).headers(["Content-Type", "X-Api-Key"]);
        let client = client(cors.max_age(Duration::from_secs(600)).credentials());
        let response = preflight(&client, APP, "PUT", Some("content-type")).await;
        response.assert_status(204).assert_text("");
        response.assert_header(ALLOW, APP);
        response.assert_header("access-control-allow-methods", "GET, PUT");
        response.assert_header("access-control-allow-headers", "Content-Type, X-Api-Key");
        response.assert_header("access-control-allow-credentials", "true");
        response.assert_header("access-control-max-age", "600");
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        response.assert_header("vary", vary);
        // A question about the methods is none.
        let response = client.request(Method::OPTIONS, "/").header("Origin", APP).send().await;
        response.assert_header("allow", "GET, HEAD, PUT, OPTIONS").assert_header(ALLOW, APP);
    });
}

#[test]
fn credentials_go_with_the_origin_by_name() {
    testing::run(async {
        let response = client(app().credentials()).get("/").header("Origin", APP).send().await;
        response.assert_header(ALLOW, APP).assert_header("access-control-allow-credentials", "true");
    });
}

#[test]
fn any_origin_is_a_star_and_never_an_echo() {
    testing::run(async {
        let client = client(Cors::new().any_origin());
        for origin in [APP, "https://evil.example", "null"] {
            let response = client.get("/").header("Origin", origin).send().await;
            response.assert_header(ALLOW, "*").assert_no_header("vary");
            response.assert_no_header("access-control-allow-credentials");
        }
        client.get("/").send().await.assert_header(ALLOW, "*");
    });
}

#[test]
#[should_panic(expected = "credentials for any origin")]
fn credentials_for_any_origin_are_refused() {
    let _ = Cors::new().any_origin().credentials();
}

#[test]
#[should_panic(expected = "credentials for any origin")]
fn any_origin_with_credentials_is_refused() {
    let _ = Cors::new().credentials().any_origin();
}

#[test]
#[should_panic(expected = "is not an origin")]
fn a_star_is_not_an_origin() {
    let _ = Cors::new().origin("*");
}

#[test]
fn a_function_may_decide() {
    testing::run(async {
        let matches = |origin: &str| origin.starts_with("https://") && origin.ends_with(".example.com");
        let client = client(Cors::new().origins_if(matches).credentials());
        let response = client.get("/").header("Origin", "https://A.Example.com").send().await;
        response.assert_header(ALLOW, "https://A.Example.com").assert_header("vary", "Origin");
        for origin in ["https://example.com.evil.net", "http://a.example.com", "null"] {
            client.get("/").header("Origin", origin).send().await.assert_no_header(ALLOW);
        }
    });
}

#[test]
fn headers_can_be_exposed_and_asked_for() {
    testing::run(async {
        let client = client(app().expose(["X-Total", "ETag"]).any_header());
        let response = client.get("/").header("Origin", APP).send().await;
        response.assert_header("access-control-expose-headers", "X-Total, ETag");
        let response = preflight(&client, APP, "PUT", Some("x-one, x-two")).await;
        response.assert_header("access-control-allow-headers", "x-one, x-two");
        preflight(&client, APP, "PUT", Some("x-one; \"evil\"")).await.assert_no_header("access-control-allow-headers");
        preflight(&client, APP, "PUT", None).await.assert_no_header("access-control-allow-headers");
    });
}

#[test]
#[should_panic(expected = "is no name of a header")]
fn what_is_no_header_is_refused() {
    let _ = Cors::new().expose(["X-Total\r\nSet-Cookie: a=b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_other_origin_is_ever_permitted(origin in "(https?://)?[a-z.:/@]{0,5}app\\.example\\.com[a-z.:/@0-9]{0,5}") {
        let is_same = [APP, "https://app.example.com:443", "https://app.example.com:"].contains(&&*origin);
        let is_permitted = testing::run(async {
            client(app().credentials()).get("/").header("Origin", &origin).send().await.header(ALLOW).is_some()
        });
        prop_assert_eq!(is_permitted, is_same, "{}", origin);
    }
}
