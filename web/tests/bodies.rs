//! A body that is asked for more than once.

mod util;

use util::{Server, serve};
use web::{Application, Exchange, Limits};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// Asks for the body in the ways that the query names, one after the other, and shows what each of them returned.
async fn ask(exchange: &mut Exchange) -> web::Result<()> {
    let ways: String = exchange.query("ways")?;
    let mut shown = Vec::new();
    for way in ways.split(' ') {
        shown.push(match way {
            "bytes" => exchange.bytes().await?.escape_ascii().to_string(),
            "limited" => exchange.bytes_limited(4).await?.escape_ascii().to_string(),
            "text" => exchange.text().await?,
            "form" => format!("{:?}", exchange.form_arguments().await?),
            "a" => exchange.argument("a").await?,
            "json" => format!("{:?}", exchange.json::<Vec<u8>>().await?),
            "chunk" => format!("{:?}", exchange.chunk().await?),
            other => panic!("unknown way {other}"),
        });
    }
    exchange.write_text(shown.join(" | "));
    Ok(())
}

/// Looks an argument up very often.
async fn look_up(exchange: &mut Exchange) -> web::Result<()> {
    let mut sum = 0;
    for _ in 0..100_000 {
        sum += exchange.argument::<u64>("a").await?;
    }
    exchange.write_text(sum.to_string());
    Ok(())
}

fn server() -> Server {
    serve(|| Application::new().post("/", ask).limits(Limits::default().max_collected_body(64)))
}

#[test]
fn a_body_is_the_same_in_any_order_and_any_number_of_times() {
    let server = server();
    let form = |ways: &str| server.send("POST", &format!("/?ways={ways}"), FORM, "a=1").text().to_owned();
    assert_eq!(form("bytes+text+form+a+bytes"), r#"a=1 | a=1 | [Ok(("a", "1"))] | 1 | a=1"#);
    assert_eq!(form("a+a+form+text+bytes+form"), r#"1 | 1 | [Ok(("a", "1"))] | a=1 | a=1 | [Ok(("a", "1"))]"#);
    assert_eq!(form("limited+bytes+chunk"), "a=1 | a=1 | None");
    let json = |ways: &str| server.send("POST", &format!("/?ways={ways}"), JSON, "[1, 2]").text().to_owned();
    assert_eq!(json("json+bytes+json+text"), "[1, 2] | [1, 2] | [1, 2] | [1, 2]");
    assert_eq!(json("text+json+form"), "[1, 2] | [1, 2] | []");
}

#[test]
fn an_empty_body_is_empty_each_time() {
    let reply = server().send("POST", "/?ways=text+bytes+form+text", FORM, "");
    assert_eq!(reply.text(), " |  | [] | ");
}

#[test]
fn a_chunked_body_is_kept_too() {
    let server = server();
    let mut client = server.connect();
    client.request("POST", "/?ways=bytes+text", "Transfer-Encoding: chunked\r\n", "");
    client.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "abcdefg | abcdefg");
}

#[test]
fn each_way_fails_with_its_own_status() {
    let server = server();
    let status =
        |ways: &str, headers: &str, body: &str| server.send("POST", &format!("/?ways={ways}"), headers, body).status;
    assert_eq!(status("bytes+json", FORM, "a=1"), 415);
    assert_eq!(status("text+json", JSON, "["), 400);
    let long = "x".repeat(65);
    for way in ["bytes", "text", "form", "json", "limited"] {
        let headers = if way == "json" { JSON } else { FORM };
        assert_eq!(status(way, headers, &long), 413, "{way}");
    }
    // The limit of a call holds for a body that is there already.
    assert_eq!(status("bytes+limited", FORM, "a=123"), 413);
    let mut client = server.connect();
    client.send(b"POST /?ways=bytes+text HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\xff");
    let reply = client.reply();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("The body is not UTF-8"), "{reply:?}");
}

#[test]
fn a_look_up_reads_neither_the_form_again_nor_names_to_their_end() {
    // 100,000 walks through a megabyte would take minutes: the client gives up long before.
    let server = serve(|| Application::new().post("/", look_up));
    let form = format!("{}=x&a=1&{}=x", "%61".repeat(150_000), "b".repeat(500_000));
    assert_eq!(server.send("POST", "/", FORM, &form).text(), "100000");
}
