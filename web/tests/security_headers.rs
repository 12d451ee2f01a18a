//! What browsers are told, and ids of requests.

use std::time::Duration;

use web::{
    Application, Error, Exchange, ServerOptions, StatusCode, XHeaders,
    security::{Frames, RequestId, SecurityHeaders},
    testing::{self, Level, TestClient, capture_log},
};

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("hello");
    Ok(())
}

async fn own(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("X-Frame-Options", "DENY")?;
    exchange.set_header("Content-Security-Policy", "default-src 'none'")?;
    exchange.write("own");
    Ok(())
}

async fn fail(_: &mut Exchange) -> web::Result<()> {
    Err(Error::http(StatusCode::FORBIDDEN, "No"))
}

async fn stream(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("one");
    exchange.flush().await
}

async fn id(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(exchange.request_id().as_deref().unwrap_or("none").to_owned());
    Ok(())
}

fn routes() -> Application {
    let options = ServerOptions::new().xheaders(XHeaders::trusting(["127.0.0.1".parse().unwrap()]));
    let routes = Application::new().get("/", hello).get("/own", own).get("/fail", fail).get("/stream", stream);
    routes.get("/id", id).server_options(options)
}

fn client(headers: SecurityHeaders) -> TestClient {
    TestClient::new(routes().wrap(headers))
}

#[test]
fn every_answer_has_them() {
    testing::run(async {
        let client = client(SecurityHeaders::new());
        for target in ["/", "/fail", "/stream", "/nowhere"] {
            let response = client.get(target).send().await;
            response.assert_header("x-content-type-options", "nosniff");
            response.assert_header("referrer-policy", "strict-origin-when-cross-origin");
            response.assert_header("x-frame-options", "SAMEORIGIN");
            response.assert_header("content-security-policy", "frame-ancestors 'self'");
            response.assert_header("cross-origin-opener-policy", "same-origin");
        }
    });
}

#[test]
fn https_is_demanded_over_https_alone() {
    testing::run(async {
        let over_https = async |headers| {
            let client = client(headers);
            client.get("/").send().await.assert_no_header("strict-transport-security");
            let response = client.get("/").header("X-Forwarded-Proto", "https").send().await;
            response.header("strict-transport-security").map(str::to_owned)
        };
        assert_eq!(over_https(SecurityHeaders::new()).await.as_deref(), Some("max-age=31536000"));
        let headers = SecurityHeaders::new().hsts(Duration::from_secs(60), true);
        assert_eq!(over_https(headers).await.as_deref(), Some("max-age=60; includeSubDomains"));
        assert_eq!(over_https(SecurityHeaders::new().no_hsts()).await, None);
    });
}

#[test]
fn what_a_handler_says_stays() {
    testing::run(async {
        let response = client(SecurityHeaders::new()).get("/own").send().await;
        response.assert_header("x-frame-options", "DENY");
        response.assert_header("content-security-policy", "default-src 'none'");
        response.assert_header("x-content-type-options", "nosniff");
    });
}

#[test]
fn frames_are_a_matter_of_two_headers() {
    testing::run(async {
        let policy_of = async |headers: SecurityHeaders| {
            let response = client(headers).get("/").send().await;
            let text = |name| response.header(name).unwrap_or("-").to_owned();
            (text("x-frame-options"), text("content-security-policy"))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let new = SecurityHeaders::new;
        assert_eq!(policy_of(new().frames(Frames::Deny)).await, pair("DENY", "frame-ancestors 'none'"));
        assert_eq!(policy_of(new().frames(Frames::Anywhere)).await, pair("-", "-"));
        let partner = Frames::From("'self' https://partner.example".into());
        let expected = pair("-", "frame-ancestors 'self' https://partner.example");
        assert_eq!(policy_of(new().frames(partner)).await, expected);
        let expected = pair("SAMEORIGIN", "default-src 'self'; img-src *; frame-ancestors 'self'");
        assert_eq!(policy_of(new().content_security_policy("default-src 'self'; img-src *; ")).await, expected);
        let own = "frame-ancestors https://a.example";
        assert_eq!(policy_of(new().content_security_policy(own)).await, pair("SAMEORIGIN", own));
    });
}

#[test]
fn empty_values_are_not_sent() {
    testing::run(async {
        let response = client(SecurityHeaders::new().referrer_policy("").opener_policy("")).get("/").send().await;
        response.assert_no_header("referrer-policy").assert_no_header("cross-origin-opener-policy");
    });
}

#[test]
#[should_panic(expected = "cannot stand in a header")]
fn a_policy_cannot_add_a_line() {
    let _ = SecurityHeaders::new().content_security_policy("default-src 'self'\r\nSet-Cookie: a=b");
}

#[test]
#[should_panic(expected = "is no list for frame-ancestors")]
fn a_list_of_frames_cannot_add_a_directive() {
    let _ = SecurityHeaders::new().frames(Frames::From("*; script-src *".into()));
}

#[test]
fn every_request_has_an_id_of_its_own() {
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(routes().wrap(RequestId::new()));
        let mut ids = std::collections::HashSet::new();
        for _ in 0..20 {
            let response = client.get("/id").send().await;
            let id = response.text().to_owned();
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            response.assert_header("x-request-id", &id);
            log.expect(Level::Info, "web::access", &format!("200 GET /id (127.0.0.1) [{id}]"));
            ids.insert(id);
        }
        assert_eq!(ids.len(), 20);
        for target in ["/fail", "/stream", "/nowhere"] {
            assert!(client.get(target).send().await.header("x-request-id").is_some(), "{target}");
        }
        let response = client.get("/fail").send().await;
        let id = response.header("x-request-id").unwrap();
        log.expect(Level::Warn, "web", &format!("403 GET /fail (127.0.0.1) [{id}]: No"));
    });
}

#[test]
fn ids_are_taken_from_trusted_peers_alone() {
    testing::run(async {
        let id_of = async |wrap: RequestId, headers: &[(&str, &str)]| {
            let client = TestClient::new(routes().wrap(wrap));
            let request = headers.iter().fold(client.get("/id"), |request, (name, value)| request.header(name, value));
            request.send().await.text().to_owned()
        };
        let trusting = || RequestId::new().trusting(["127.0.0.0/8".parse().unwrap()]);
        let brought = [("X-Request-Id", "a1.B2_c-3")];
        assert_eq!(id_of(trusting(), &brought).await, "a1.B2_c-3");
        assert_ne!(id_of(RequestId::new(), &brought).await, "a1.B2_c-3");
        let others = RequestId::new().trusting(["10.0.0.0/8".parse().unwrap()]);
        assert_ne!(id_of(others, &brought).await, "a1.B2_c-3");
        // Whoever the proxy speaks for is not the one who is trusted.
        let claimed = [("X-Request-Id", "a1"), ("X-Forwarded-For", "10.0.0.1")];
        let others = RequestId::new().trusting(["10.0.0.0/8".parse().unwrap()]);
        assert_ne!(id_of(others, &claimed).await, "a1");
        assert_eq!(id_of(trusting().header("X-Trace"), &[("X-Trace", "t")]).await, "t");
        let long = "x".repeat(129);
        for bad in ["", "a b", "a\tb", "a]b", "é", &long] {
            assert_ne!(id_of(trusting(), &[("X-Request-Id", bad)]).await, bad);
        }
        assert_eq!(id_of(trusting(), &[("X-Request-Id", &long[1..])]).await, long[1..]);
        assert_ne!(id_of(trusting(), &[("X-Request-Id", "a"), ("X-Request-Id", "b")]).await.len(), 1);
    });
}

#[test]
fn without_the_wrap_there_is_no_id() {
    testing::run(async {
        let client = TestClient::new(routes());
        client.get("/id").send().await.assert_text("none").assert_no_header("x-request-id");
    });
}
