//! What a service asks a request for: its query, its form, its cookies.

mod common;

use common::{Client, run, serve};
use httpserver::{Error, Request, Response, StatusCode, httputil::MAX_ARGUMENTS};
use proptest::{collection::vec, prelude::*};

/// Answers with the arguments of the query, and those of the form behind a bar.
async fn arguments(mut request: Request) -> httpserver::Result<Response> {
    let mut text = String::new();
    for argument in request.query_arguments()?.iter() {
        let (name, value) = argument?;
        text += &format!("{name}={value};");
    }
    text.push('|');
    for argument in request.form().await?.iter() {
        let (name, value) = argument?;
        text += &format!("{name}={value};");
    }
    Ok(Response::text(text))
}

fn post(target: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn queries_and_forms_are_read_from_a_connection() {
    run(async {
        let client = Client::connect(serve(arguments)).await;
        client.send(post("/?a=1&b=%20", FORM, "c=two+words&d")).await;
        assert_eq!(client.answer().await.text(), "a=1;b= ;|c=two words;d=;");
        client.send(post("/?a", &format!("{}; charset=utf-8", FORM.to_uppercase()), "b=%c3%a9")).await;
        assert_eq!(client.answer().await.text(), "a=;|b=\u{e9};");
        client.send(post("/", "text/plain", "a=1")).await;
        assert_eq!(client.answer().await.text(), "|");
        client.send(post("/", FORM, "a=%ff")).await;
        assert_eq!(client.answer().await.status(), 400);
    });
}

#[test]
fn too_many_arguments_are_400_wherever_they_are() {
    run(async {
        let client = Client::connect(serve(arguments)).await;
        for (count, status) in [(MAX_ARGUMENTS, 200), (MAX_ARGUMENTS + 1, 400)] {
            let many = vec!["a"; count].join("&");
            client.send(post(&format!("/?{many}"), FORM, "")).await;
            assert_eq!(client.answer().await.status(), status);
            client.send(post("/", FORM, &many)).await;
            assert_eq!(client.answer().await.status(), status);
        }
    });
}

#[test]
fn the_form_stays_in_the_request() {
    let mut request = Request::builder().header("Content-Type", FORM).body("a=1").build().unwrap();
    run(async {
        for _ in 0..2 {
            assert_eq!(request.form().await.unwrap().get("a").unwrap().as_deref(), Some("1"));
        }
        assert_eq!(request.bytes().await.unwrap(), "a=1");
    });
}

#[test]
fn a_form_with_a_content_coding_is_415() {
    let builder = Request::builder().header("Content-Type", FORM).header("Content-Encoding", "gzip");
    let mut request = builder.body("a=1").build().unwrap();
    let error = run(request.form()).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
}

#[test]
fn cookies_of_all_lines_are_there_and_the_last_one_counts() {
    let request = Request::builder().header("Cookie", "a=1; b=2").header("cookie", b"\xff; a=\"3\"").build().unwrap();
    assert_eq!(request.cookie("a").as_deref(), Some("3"));
    assert_eq!(request.cookie("b").as_deref(), Some("2"));
    assert_eq!(request.cookie("c"), None);
    assert_eq!(request.cookies().count(), 3);
}

/// Tornado's advisory about unquoting (CVE-2024-52804): what is quadratic takes minutes for this.
#[test]
fn hostile_cookies_and_arguments_take_linear_time() {
    for piece in ["\\012", "\\\"", "\\", ";", "=", "\""] {
        let line = format!("a=\"{}\"", piece.repeat(2_000_000 / piece.len()));
        assert!(httpserver::httputil::parse_cookie(line.as_bytes()).count() > 0);
    }
    let escapes = format!("a={}", "%41+%".repeat(400_000));
    let arguments = httpserver::httputil::Arguments::parse(escapes.as_bytes()).unwrap();
    assert_eq!(arguments.get("a").unwrap().unwrap().len(), 1_200_000);
    assert!(matches!(
        httpserver::httputil::Arguments::parse("a=&".repeat(1_000_000).as_bytes()),
        Err(Error::TooManyArguments { .. })
    ));
}

proptest! {
    #[test]
    fn a_form_that_was_encoded_is_what_the_service_sees(pairs in vec(("[^\0]{0,6}", "[^\0]{0,9}"), 0..9)) {
        let body = httpserver::httputil::encode_arguments(pairs.iter().map(|(name, value)| (name, value)));
        let mut request = Request::builder().header("Content-Type", FORM).body(body).build().unwrap();
        let read = run(async {
            let form = request.form().await?;
            form.iter().map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned()))).collect()
        });
        let read: httpserver::Result<Vec<_>> = read;
        prop_assert_eq!(read.unwrap(), pairs);
    }
}
