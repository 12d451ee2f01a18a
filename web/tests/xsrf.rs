//! Forms that other sites made.

use std::time::Duration;

use httpserver::multipart::FormLimits;
use web::{
    Application, Cookie, Error, Exchange, SameSite, ServerOptions, StatusCode, XHeaders,
    security::{CrossOriginProtection, Xsrf},
    testing::{self, MultipartForm, TestClient, TestResponse},
};

/// A cookie that Tornado 6.6.1 set, and what it wrote into pages for it.
const TORNADO_COOKIE: &str = "2|d22e96c9|64d488403fc87714a8359075646c5b59|1795742502";
const TORNADO_TOKENS: [&str; 3] = [
    "2|af627555|19986bdc42849488d57973e91920b8c5|1795742502",
    "2|eb80ba1a|5d7aa49306665bc7919bbca65dc2778a|1795742502",
    "2|1938745b|afc26ad2f4de9586632372e7af7ab9cb|1795742502",
];

async fn form(exchange: &mut Exchange) -> web::Result<()> {
    let html = exchange.xsrf_form_html()?;
    exchange.write(html);
    Ok(())
}

async fn token(exchange: &mut Exchange) -> web::Result<()> {
    let (first, second) = (exchange.xsrf_token()?, exchange.xsrf_token()?);
    exchange.write_text(format!("{first} {second}"));
    Ok(())
}

async fn done(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("done");
    Ok(())
}

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let text: String = exchange.argument("text").await?;
    exchange.write_text(text);
    Ok(())
}

/// The sizes of what was uploaded.
async fn upload(exchange: &mut Exchange) -> web::Result<()> {
    let mut form = exchange.multipart(FormLimits::default())?;
    while let Some(mut part) = form.next_part().await? {
        let name = part.name().to_owned();
        let mut sum = 0u64;
        while let Some(chunk) = part.chunk().await? {
            sum += chunk.len() as u64;
        }
        exchange.write_text(format!("{name}={sum} "));
    }
    Ok(())
}

async fn whole(exchange: &mut Exchange) -> web::Result<()> {
    let form = exchange.form_data(FormLimits::default()).await?;
    exchange.write_text(form.argument("text")?.unwrap_or("nothing").to_owned());
    Ok(())
}

async fn bytes(exchange: &mut Exchange) -> web::Result<()> {
    let body = exchange.bytes().await?;
    exchange.write_text(format!("{}", body.len()));
    Ok(())
}

fn routes() -> Application {
    Application::new()
        .get("/form", form)
        .get("/token", token)
        .get("/", done)
        .head("/", done)
        .options("/", done)
        .post("/", done)
        .put("/", done)
        .patch("/", done)
        .delete("/", done)
        .post("/echo", echo)
        .post("/upload", upload)
        .post("/whole", whole)
        .post("/bytes", bytes)
}

fn client() -> TestClient {
    TestClient::new(routes().wrap(Xsrf::new()))
}

/// A client with a cookie, and a token for it.
async fn visitor() -> (TestClient, String) {
    let client = client();
    let token = token_of(&client).await;
    (client, token)
}

async fn token_of(client: &TestClient) -> String {
    client.get("/token").send().await.text().split(' ').next().unwrap().to_owned()
}

fn assert_refused(response: &TestResponse, why: &str) {
    response.assert_status(403);
    assert!(response.text().contains(why), "{}", response.text());
}

#[test]
fn a_form_of_the_site_is_taken_and_no_other() {
    testing::run(async {
        let (client, token) = visitor().await;
        client.post("/echo").form([("text", "hello"), ("_xsrf", &token)]).send().await.assert_text("hello");
        client.post("/echo").query("_xsrf", &token).form([("text", "hello")]).send().await.assert_text("hello");
        for header in ["X-Xsrftoken", "X-XSRFToken", "X-Csrftoken"] {
            client.post("/").header(header, &token).send().await.assert_text("done");
        }
        let response = client.post("/echo").form([("text", "forged")]).send().await;
        assert_refused(&response, "&#39;_xsrf&#39; argument missing");
        assert_refused(&client.post("/").send().await, "missing");
        assert_refused(&client.post("/").header("X-Xsrftoken", "").send().await, "missing");
        assert_refused(&client.post("/").header("X-Xsrftoken", "x").send().await, "invalid format");
        assert_refused(&client.post("/").query("_xsrf", "2|1|2|3").send().await, "invalid format");
    });
}

#[test]
fn every_method_that_changes_something_is_checked() {
    testing::run(async {
        let (client, token) = visitor().await;
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = || client.request(method.parse().unwrap(), "/");
            assert_refused(&request().send().await, "missing");
            request().header("X-Xsrftoken", &token).send().await.assert_status(200);
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            client.request(method.parse().unwrap(), "/").send().await.assert_status(200);
        }
        // A path that no route has may have a fallback.
        assert_refused(&client.post("/nowhere").send().await, "missing");
    });
}

#[test]
fn no_header_of_a_script_spares_the_check() {
    // Tornado 1.1 trusted this one.
    testing::run(async {
        let (client, _) = visitor().await;
        let response = client.post("/").header("X-Requested-With", "XMLHttpRequest").send().await;
        assert_refused(&response, "missing");
    });
}

#[test]
fn a_token_is_good_for_its_own_cookie_alone() {
    testing::run(async {
        let (ada, of_ada) = visitor().await;
        let grace = ada.another();
        let of_grace = token_of(&grace).await;
        ada.post("/").header("X-Xsrftoken", &of_ada).send().await.assert_status(200);
        assert_refused(&ada.post("/").header("X-Xsrftoken", &of_grace).send().await, "does not match");
        let nobody = ada.another();
        assert_refused(&nobody.post("/").header("X-Xsrftoken", &of_ada).send().await, "cookie missing");
        let response = nobody.post("/").header("Cookie", "_xsrf=what").header("X-Xsrftoken", "what").send().await;
        assert_refused(&response, "invalid format");
    });
}

#[test]
fn each_page_has_another_text_of_the_same_token() {
    // CVE-2014-9720: one text for all pages could be found out of compressed ones, byte by byte.
    testing::run(async {
        let client = client();
        let mut texts = std::collections::HashSet::new();
        for _ in 0..8 {
            let response = client.get("/token").send().await;
            texts.extend(response.text().split(' ').map(str::to_owned));
        }
        assert_eq!(texts.len(), 16);
        for token in texts {
            client.post("/").header("X-Xsrftoken", &token).send().await.assert_status(200);
        }
    });
}

#[test]
fn tokens_and_cookies_of_tornado_are_taken() {
    testing::run(async {
        let client = client();
        let post = async |token: &str| {
            let cookie = format!("_xsrf={TORNADO_COOKIE}");
            client.post("/").header("Cookie", cookie).header("X-Xsrftoken", token).send().await
        };
        for token in TORNADO_TOKENS {
            post(token).await.assert_status(200);
        }
        post(TORNADO_COOKIE).await.assert_status(200);
        assert_refused(&post("2|01020304|0103010705070503090b090f0d0f0d0b|1300000000").await, "does not match");
        // Its own cookie is not replaced, and what is made of it is of the same secret.
        let response = client.get("/token").header("Cookie", format!("_xsrf={TORNADO_COOKIE}")).send().await;
        response.assert_no_header("set-cookie");
        let token = response.text().split(' ').next().unwrap().to_owned();
        post(&token).await.assert_status(200);
    });
}

#[test]
fn the_cookie_is_set_once_and_only_when_it_is_needed() {
    testing::run(async {
        let client = client();
        client.get("/").send().await.assert_no_header("set-cookie").assert_no_header("vary");
        let response = client.get("/form").send().await;
        response.assert_header("vary", "Cookie");
        let cookie = response.header("set-cookie").unwrap();
        assert!(cookie.starts_with("_xsrf=2|") && cookie.ends_with("; SameSite=Lax; Path=/"), "{cookie}");
        client.get("/form").send().await.assert_no_header("set-cookie").assert_header("vary", "Cookie");
        // One that cannot be read is replaced.
        let response = client.another().get("/form").header("Cookie", "_xsrf=broken").send().await;
        assert!(response.header("set-cookie").unwrap().starts_with("_xsrf=2|"));
    });
}

#[test]
fn an_error_page_with_a_token_depends_on_the_cookie_too() {
    testing::run(async {
        let fails = async |exchange: &mut Exchange| {
            exchange.xsrf_token()?;
            Err(Error::http(StatusCode::NOT_FOUND, "No such page"))
        };
        let page = |exchange: &mut Exchange, _: &Error| {
            let field = exchange.xsrf_form_html().unwrap_or_default();
            exchange.write(field);
        };
        let client = TestClient::new(Application::new().get("/", fails).error_page(page).wrap(Xsrf::new()));
        for _ in 0..2 {
            client.get("/").send().await.assert_status(404).assert_header("vary", "Cookie").assert_contains("_xsrf");
        }
    });
}

#[test]
fn the_form_has_a_hidden_field() {
    testing::run(async {
        let client = client();
        let html = client.get("/form").send().await.text().to_owned();
        let token = html.strip_prefix(r#"<input type="hidden" name="_xsrf" value="2|"#).unwrap();
        let token = format!("2|{}", token.strip_suffix(r#""/>"#).unwrap());
        client.post("/").form([("_xsrf", &token)]).send().await.assert_text("done");
    });
}

#[test]
fn the_cookie_can_have_other_attributes() {
    testing::run(async {
        let cookie = Cookie::build("__Host-xsrf").secure(true).http_only(true).same_site(SameSite::Strict);
        let client = TestClient::new(routes().wrap(Xsrf::new().cookie(cookie)));
        let response = client.get("/token").send().await;
        let (cookie, attributes) = response.header("set-cookie").unwrap().split_once("; ").unwrap();
        assert!(cookie.starts_with("__Host-xsrf=2|"), "{cookie}");
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Secure; Path=/");
        let token = response.text().split(' ').next().unwrap().to_owned();
        client.post("/").header("X-Xsrftoken", &token).send().await.assert_status(200);
    });
}

#[test]
fn over_https_the_cookie_is_secure() {
    testing::run(async {
        let proxy = XHeaders::trusting(["127.0.0.1".parse().unwrap()]);
        let options = ServerOptions::new().xheaders(proxy);
        let client = TestClient::new(routes().wrap(Xsrf::new()).server_options(options));
        let response = client.get("/token").header("X-Forwarded-Proto", "https").send().await;
        assert!(response.header("set-cookie").unwrap().contains("; Secure"), "{:?}", response.header("set-cookie"));
    });
}

#[test]
fn a_multipart_form_is_left_to_its_handler() {
    testing::run(async {
        let (client, token) = visitor().await;
        let form = MultipartForm::new().text("_xsrf", &token).text("text", "hello");
        client.post("/whole").multipart(&form).send().await.assert_text("hello");
        client.post("/upload").multipart(&form).send().await.assert_text(format!("_xsrf={} text=5 ", token.len()));
        let without = MultipartForm::new().text("text", "hello");
        assert_refused(&client.post("/whole").multipart(&without).send().await, "missing");
        let file = MultipartForm::new().file("_xsrf", "token.txt", "text/plain", token.clone());
        assert_refused(&client.post("/whole").multipart(&file).send().await, "missing");
        client.post("/whole").header("X-Xsrftoken", &token).multipart(&without).send().await.assert_text("hello");
    });
}

#[test]
fn a_large_upload_is_read_ahead_no_further_than_its_token() {
    testing::run(async {
        let (client, token) = visitor().await;
        let large = vec![b'x'; 5_000_000];
        let form =
            MultipartForm::new().text("_xsrf", &token).file("file", "a.bin", "application/octet-stream", large.clone());
        let expected = format!("_xsrf={} file=5000000 ", token.len());
        client.post("/upload").multipart(&form).send().await.assert_text(expected);
        // Behind the file nobody looks.
        let late =
            MultipartForm::new().file("file", "a.bin", "application/octet-stream", large.clone()).text("_xsrf", &token);
        assert_refused(&client.post("/upload").multipart(&late).send().await, "missing");
        // Unless the token is elsewhere.
        let response = client.post("/upload").query("_xsrf", &token).multipart(&late).send().await;
        response.assert_text(format!("file=5000000 _xsrf={} ", token.len()));
    });
}

#[test]
fn limits_of_bodies_hold_behind_what_was_read_ahead() {
    testing::run(async {
        let client = TestClient::new(routes().wrap(Xsrf::new()).body_limit(1_000_000));
        let token = token_of(&client).await;
        let form = MultipartForm::new().text("_xsrf", &token).file(
            "file",
            "a.bin",
            "application/octet-stream",
            vec![b'x'; 2_000_000],
        );
        client.post("/upload").multipart(&form).chunked().send().await.assert_status(413);
        client.post("/bytes").multipart(&form).chunked().send().await.assert_status(413);
    });
}

/// An upload that may be larger than others, and must not stand still.
async fn patient(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_body_limit(1_000_000);
    exchange.set_body_timeout(Duration::from_secs(2));
    upload(exchange).await
}

#[test]
fn a_handler_sets_limits_and_time_outs_behind_what_was_read_ahead() {
    testing::run(async {
        let routes = routes().post("/patient", patient).wrap(Xsrf::new()).body_limit(100_000);
        let client = TestClient::new(routes);
        let token = token_of(&client).await;
        let form = |size| {
            let file = vec![b'x'; size];
            MultipartForm::new().text("_xsrf", &token).file("file", "a.bin", "application/octet-stream", file)
        };
        let expected = format!("_xsrf={} file=300000 ", token.len());
        client.post("/patient").multipart(&form(300_000)).chunked().send().await.assert_text(&expected);
        client.post("/patient").multipart(&form(300_000)).send().await.assert_text(&expected);
        client.post("/patient").multipart(&form(1_100_000)).chunked().send().await.assert_status(413);
        client.post("/upload").multipart(&form(300_000)).chunked().send().await.assert_status(413);

        let request = client.post("/patient").header("Content-Type", "multipart/form-data; boundary=x");
        let (mut body, answer) = request.upload();
        let field = format!("--x\r\nContent-Disposition: form-data; name=\"_xsrf\"\r\n\r\n{token}\r\n");
        body.write(field + "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n").await;
        testing::advance(Duration::from_secs(1)).await;
        assert!(!answer.is_finished());
        testing::advance(Duration::from_secs(1)).await;
        assert!(answer.is_finished());
        answer.await.assert_status(408);
    });
}

#[test]
fn a_broken_multipart_form_is_a_bad_request() {
    testing::run(async {
        let (client, _) = visitor().await;
        let request = client.post("/whole").header("Content-Type", "multipart/form-data; boundary=x");
        request.body("no boundary here").send().await.assert_status(400);
        let request = client.post("/whole").header("Content-Type", "multipart/form-data; boundary=x");
        request
            .body("--x\r\nContent-Disposition: form-data; name=\"a\rb\"\r\n\r\n\r\n--x--\r\n")
            .send()
            .await
            .assert_status(400);
    });
}

#[test]
fn a_cookie_beside_it_cannot_hide_or_plant_the_token() {
    // Tornado before 4.4.2 let a bracket or a quote swallow what follows.
    testing::run(async {
        let (client, token) = visitor().await;
        let own = client.get("/token").send().await.text().split(' ').next().unwrap().to_owned();
        let cookie = format!("foo=bar[x=1; a=\"b; _xsrf={own}; c=\"d");
        let request = client.post("/").header("Cookie", cookie).header("X-Xsrftoken", &token);
        request.send().await.assert_status(200);
    });
}

#[test]
fn a_route_can_check_for_itself() {
    testing::run(async {
        let check = async |exchange: &mut Exchange| {
            exchange.check_xsrf().await?;
            exchange.write_text("done");
            Ok(())
        };
        let client = TestClient::new(Application::new().get("/token", token).get("/delete", check));
        let token = token_of(&client).await;
        client.get("/delete").query("_xsrf", &token).send().await.assert_text("done");
        client.get("/delete").send().await.assert_status(403);
    });
}

fn protected() -> TestClient {
    let protection = CrossOriginProtection::new().trusted_origin("https://shop.example.com");
    TestClient::new(routes().wrap(protection))
}

#[test]
fn what_a_browser_says_of_its_page_decides() {
    testing::run(async {
        let client = protected();
        let post = async |headers: &[(&str, &str)]| {
            let request = headers.iter().fold(client.post("/"), |request, (name, value)| request.header(name, value));
            request.send().await.status().as_u16()
        };
        // By Sec-Fetch-Site.
        for (site, status) in
            [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("what", 403)]
        {
            assert_eq!(post(&[("Sec-Fetch-Site", site)]).await, status, "{site}");
        }
        // By Origin, where there is no such header.
        for (origin, status) in [
            ("http://localhost", 200),
            ("https://localhost", 200),
            ("http://localhost:8080", 403),
            ("https://shop.example.com", 200),
            ("http://shop.example.com", 403),
            ("https://shop.example.com.evil.net", 403),
            ("null", 403),
            ("", 403),
        ] {
            assert_eq!(post(&[("Origin", origin)]).await, status, "{origin}");
        }
        // Neither: not a browser.
        assert_eq!(post(&[]).await, 200);
        // Both.
        let trusted = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://shop.example.com")];
        assert_eq!(post(&trusted).await, 200);
        assert_eq!(post(&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.net")]).await, 403);
        // A page of this host that came by plain HTTP, where anybody can write pages.
        assert_eq!(post(&[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://localhost")]).await, 403);
        assert_eq!(post(&[("Origin", "https://shop.example.com"), ("Origin", "https://evil.net")]).await, 403);
    });
}

#[test]
fn safe_methods_are_let_through() {
    testing::run(async {
        let client = protected();
        for method in ["GET", "HEAD", "OPTIONS"] {
            let request = client.request(method.parse().unwrap(), "/").header("Sec-Fetch-Site", "cross-site");
            request.send().await.assert_status(200);
        }
        for method in ["PUT", "PATCH", "DELETE"] {
            let request = client.request(method.parse().unwrap(), "/").header("Sec-Fetch-Site", "cross-site");
            request.send().await.assert_status(403);
        }
    });
}

#[test]
#[should_panic(expected = "is not an origin")]
fn an_origin_that_could_never_match_is_refused() {
    let _ = CrossOriginProtection::new().trusted_origin("shop.example.com");
}
