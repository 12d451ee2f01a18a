//! The routes of the example `hello`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use serde_json::json;
use support::{Program, http::Client};

fn hello() -> (Program, Client) {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_hello"));
    (program, Client::connect(address))
}

#[test]
fn arguments_come_from_path_and_query() {
    let (_program, mut client) = hello();
    assert_eq!(client.get("/hello/w%C3%B6rld").body, "Hello, wörld\n");
    assert_eq!(client.get("/add?a=2&b=-5").body, "-3\n");
}

#[test]
fn arguments_that_are_missing_or_wrong_are_400() {
    let (_program, mut client) = hello();
    assert_eq!(client.get("/add?a=2").status, 400);
    assert_eq!(client.get("/add?a=2&b=x").status, 400);
}

#[test]
fn a_form_is_read() {
    let (_program, mut client) = hello();
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    let answer = client.request("POST", "/form", &form, "name=Ann+Lee&age=7");
    assert_eq!(answer.body, "Ann Lee is 7 years old\n");
    assert_eq!(client.request("POST", "/form", &form, "age=7").status, 400);
}

#[test]
fn json_goes_in_and_out() {
    let (_program, mut client) = hello();
    let review = json!({ "title": "tea", "stars": 5 });
    let answer = client.post_json("/review", &review);
    assert_eq!((answer.status, answer.json()), (201, review));
    assert_eq!(client.post_json("/review", &json!({ "title": "tea", "stars": 6 })).status, 422);
    assert_eq!(client.post_json("/review", &json!({ "title": "tea" })).status, 422);
}

#[test]
fn a_streamed_answer_comes_in_chunks() {
    let (_program, mut client) = hello();
    let answer = client.get("/count");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, "1\n2\n3\n4\n5\n");
}

#[test]
fn a_cookie_counts_visits() {
    let (_program, mut client) = hello();
    let first = client.get("/visits");
    assert_eq!(first.body, "visit number 1\n");
    let cookie = first.header("set-cookie").expect("a cookie is set");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap_or_default());
    assert_eq!(client.request("GET", "/visits", &[&cookie], "").body, "visit number 2\n");
}

#[test]
fn an_old_address_leads_to_the_new_one() {
    let (_program, mut client) = hello();
    let answer = client.get("/old");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/")));
}

#[test]
fn a_chunked_upload_is_counted() {
    let (_program, mut client) = hello();
    let chunked = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n";
    let answer = client.request("POST", "/upload", &["Transfer-Encoding: chunked"], chunked);
    assert_eq!(answer.body, "11 bytes\n");
}

#[test]
fn an_upload_larger_than_any_buffer_is_counted() {
    let (_program, mut client) = hello();
    let answer = client.request("POST", "/upload", &[], &"x".repeat(3_000_000));
    assert_eq!(answer.body, "3000000 bytes\n");
}

#[test]
fn a_request_handler_keeps_its_state() {
    let (_program, mut client) = hello();
    assert_eq!(client.request("POST", "/notes", &[], "buy tea").status, 201);
    assert_eq!(client.request("POST", "/notes", &[], "drink it").status, 201);
    assert_eq!(client.get("/notes").body, "buy tea\ndrink it\n");
    assert_eq!(client.request("DELETE", "/notes", &[], "").status, 204);
    assert_eq!(client.get("/notes").body, "\n");
}

#[test]
fn methods_that_are_not_there_are_405_with_the_ones_that_are() {
    let (_program, mut client) = hello();
    let answer = client.request("PUT", "/notes", &[], "x");
    assert_eq!(answer.status, 405);
    let allow = answer.header("allow").expect("405 says what is allowed");
    for method in ["GET", "POST", "DELETE"] {
        assert!(allow.contains(method), "{allow}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let (_program, mut client) = hello();
    let get = client.get("/hello/you");
    let head = client.request("HEAD", "/hello/you", &[], "");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(client.get("/hello/again").body, "Hello, again\n");
}

#[test]
fn static_files_come_whole_in_part_and_not_at_all() {
    let (_program, mut client) = hello();
    let whole = client.get("/static/index.html");
    assert_eq!(whole.status, 200);
    assert!(whole.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let part = client.request("GET", "/static/index.html", &["Range: bytes=0-8"], "");
    assert_eq!((part.status, &*part.body), (206, &whole.body[..9]));
    let tag = format!("If-None-Match: {}", whole.header("etag").expect("a file has a tag"));
    assert_eq!(client.request("GET", "/static/index.html", &[&tag], "").status, 304);
    assert_eq!(client.get("/static/missing.html").status, 404);
}

#[test]
fn nothing_outside_the_static_directory_is_served() {
    let (_program, mut client) = hello();
    for path in ["/static/../Cargo.toml", "/static/..%2fCargo.toml", "/static/%2e%2e/Cargo.toml", "/static//etc/passwd"]
    {
        let answer = client.get(path);
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {answer:?}");
    }
}

#[test]
fn errors_have_the_programs_own_page() {
    let (_program, mut client) = hello();
    let answer = client.get("/nowhere");
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("<h1>404 Not Found</h1>"), "{}", answer.body);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_program, mut client) = hello();
    client.raw("GET /hello/a HTTP/1.1\r\nHost: x\r\n\r\nGET /hello/b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer_to("GET").body, "Hello, a\n");
    assert_eq!(client.answer_to("GET").body, "Hello, b\n");
}

#[test]
fn a_request_in_flight_is_finished_before_the_program_ends() {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_hello"));
    let mut client = Client::connect(address);
    // The first request makes sure that the connection has been accepted.
    client.get("/");
    client.send("GET", "/count", &[], "");
    let mut probe = Client::connect(address);
    probe.get("/");
    program.terminate();
    assert_eq!(client.answer_to("GET").body, "1\n2\n3\n4\n5\n");
    assert!(client.is_closed());
    assert!(program.end().success());
}
