//! Arguments from the query, from forms and from JSON.

mod util;

use proptest::prelude::*;
use util::{Server, serve};
use web::{Application, Arguments, Exchange};

async fn query(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(exchange.query::<String>("a")?);
    Ok(())
}

async fn number(exchange: &mut Exchange) -> web::Result<()> {
    let sum: i64 = exchange.query_all::<i64>("n")?.iter().sum();
    let optional = exchange.query_opt::<u8>("m")?;
    exchange.write(format!("{sum} {optional:?}"));
    Ok(())
}

async fn argument(exchange: &mut Exchange) -> web::Result<()> {
    let a: String = exchange.argument("a").await?;
    let b: Option<String> = exchange.argument_opt("b").await?;
    exchange.write(format!("{a} {b:?}"));
    Ok(())
}

async fn sum(exchange: &mut Exchange) -> web::Result<()> {
    let numbers: Vec<i64> = exchange.json().await?;
    exchange.write_json(&numbers.iter().sum::<i64>())
}

async fn length(exchange: &mut Exchange) -> web::Result<()> {
    let mut length = 0;
    while let Some(chunk) = exchange.chunk().await? {
        length += chunk.len();
    }
    exchange.write(length.to_string());
    Ok(())
}

fn server() -> Server {
    serve(|| {
        Application::new()
            .get("/query", query)
            .get("/number", number)
            .post("/argument", argument)
            .post("/sum", sum)
            .post("/length", length)
    })
}

#[test]
fn query_arguments_are_decoded_and_the_last_wins() {
    let server = server();
    assert_eq!(server.get("/query?a=1&a=two+w%C3%B6rds%2B").text(), "two wörds+");
    assert_eq!(server.get("/query?a").text(), "");
}

#[test]
fn a_missing_argument_is_400_and_named() {
    let server = server();
    let reply = server.get("/query?b=1");
    assert_eq!(reply.status, 400);
    assert_eq!(reply.text(), "<html><title>400: Bad Request</title><body>400: Missing argument a</body></html>");
}

#[test]
fn arguments_that_do_not_parse_are_400() {
    let server = server();
    assert_eq!(server.get("/number?n=1&n=2&m=3").text(), "3 Some(3)");
    assert_eq!(server.get("/number").text(), "0 None");
    for target in ["/number?n=1&n=x", "/number?m=256", "/query?a=%ff"] {
        assert_eq!(server.get(target).status, 400, "{target}");
    }
}

#[test]
fn too_many_arguments_are_400() {
    let server = server();
    assert_eq!(server.get(&format!("/query?{}", "a&".repeat(999) + "a=x")).text(), "x");
    assert_eq!(server.get(&format!("/query?{}", "a&".repeat(1000) + "a=x")).status, 400);
    let form = "a=x&".repeat(1001);
    assert_eq!(server.post_form("/argument", &form).status, 400);
}

#[test]
fn the_form_goes_before_the_query() {
    let server = server();
    assert_eq!(server.post_form("/argument?a=1&b=2", "a=form").text(), "form Some(\"2\")");
    assert_eq!(server.post_form("/argument?a=1", "b=x+y").text(), "1 Some(\"x y\")");
    assert_eq!(server.post_form("/argument", "b=1").status, 400);
}

#[test]
fn bodies_that_are_no_form_have_no_arguments() {
    let server = server();
    let text = "Content-Type: text/plain\r\n";
    assert_eq!(server.send("POST", "/argument", text, "a=1").status, 400);
    assert_eq!(server.send("POST", "/argument", "", "a=1").status, 400);
    let form = "content-type: Application/X-WWW-Form-Urlencoded ; charset=utf-8\r\n";
    assert_eq!(server.send("POST", "/argument", form, "a=1").text(), "1 None");
}

#[test]
fn a_media_type_counts_whatever_bytes_its_parameters_hold() {
    let server = server();
    let mut client = server.connect();
    for (target, media_type, body, expected) in [
        ("/sum", "application/json", "[1, 2]", "3"),
        ("/argument", "application/x-www-form-urlencoded", "a=1", "1 None"),
    ] {
        let headers = format!("Content-Length: {}\r\nContent-Type: {media_type}; name=", body.len());
        client.request_bytes("POST", target, &[headers.as_bytes(), b"\"\xff\"\r\n"].concat());
        client.send(body);
        assert_eq!(client.reply().text(), expected, "{media_type}");
    }
}

#[test]
fn json_is_parsed_into_the_type_asked_for() {
    let server = server();
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let reply = server.send("POST", "/sum", json, "[1, 2, 39]");
    assert_eq!(reply.text(), "42");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let suffixed = "Content-Type: application/vnd.numbers+json\r\n";
    assert_eq!(server.send("POST", "/sum", suffixed, "[1]").text(), "1");
}

#[test]
fn json_that_is_wrong_is_400_and_says_where() {
    let server = server();
    let json = "Content-Type: application/json\r\n";
    for (body, status, text) in [
        ("[1,", 400, "EOF while parsing a value at line 1 column 3"),
        ("nonsense", 400, "expected ident at line 1 column 2"),
        ("{}", 422, "expected a sequence at line 1 column 0"),
        ("[\n\"secret\"]", 422, "expected i64 at line 2 column 8"),
        ("[\"1, expected <b>\"]", 422, "expected i64 at line 1 column 18"),
    ] {
        let reply = server.send("POST", "/sum", json, body);
        assert_eq!(reply.status, status, "{body}");
        assert!(reply.text().contains(&format!(">{status}: Invalid JSON: {text}<")), "{reply:?}");
    }
    assert_eq!(server.send("POST", "/sum", json, "").status, 400);
}

#[test]
fn json_of_another_type_is_415() {
    let server = server();
    assert_eq!(server.send("POST", "/sum", "Content-Type: text/json\r\n", "[1]").status, 415);
    assert_eq!(server.send("POST", "/sum", "", "[1]").status, 415);
    // As a form would be: not malformed, but of a kind that is not read here.
    let compressed = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    assert_eq!(server.send("POST", "/sum", compressed, "\u{1f}\u{8b}").status, 415);
    assert_eq!(server.send("POST", "/sum", "Content-Type: application/json\r\n", "\u{1f}\u{8b}").status, 400);
}

#[test]
fn bodies_above_the_limit_are_413() {
    let server = serve(|| {
        let limits = web::Limits::default().max_collected_body(16);
        Application::new().post("/sum", sum).limits(limits)
    });
    let json = "Content-Type: application/json\r\n";
    assert_eq!(server.send("POST", "/sum", json, "[1]").text(), "1");
    assert_eq!(server.send("POST", "/sum", json, "[1, 2, 3, 4, 5, 6]").status, 413);
}

#[test]
fn bodies_can_be_read_in_pieces() {
    let server = server();
    let body = "x".repeat(300_000);
    assert_eq!(server.send("POST", "/length", "", &body).text(), "300000");
    let mut client = server.connect();
    client.request("POST", "/length", "Transfer-Encoding: chunked\r\n", "");
    client.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "7");
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..20)
    ) {
        let encoded: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&pairs)
            .finish();
        let arguments = Arguments::parse(encoded.as_bytes()).unwrap();
        let decoded: Vec<(String, String)> = arguments
            .iter()
            .map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned())).unwrap())
            .collect();
        prop_assert_eq!(&decoded, &pairs);
        for (name, _) in &pairs {
            let last = pairs.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let found = arguments.get(name).unwrap();
            prop_assert_eq!(found.as_deref(), last);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(encoded: Vec<u8>, name: String) {
        if let Ok(arguments) = Arguments::parse(&encoded) {
            let _ = arguments.get(&name);
            arguments.iter().for_each(drop);
        }
    }
}
