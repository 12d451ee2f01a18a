//! The example `json_api`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use serde_json::json;
use support::{Program, http::Client};

fn api() -> (Program, Client) {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_json_api"));
    (program, Client::connect(address))
}

#[test]
fn a_book_is_made_found_changed_and_removed() {
    let (_program, mut client) = api();
    let emma = json!({ "title": "Emma", "isbn": "9780141439587", "year": 1815 });
    let made = client.post_json("/books", &emma);
    assert_eq!((made.status, made.header("location")), (201, Some("/books/1")));
    assert_eq!(client.get("/books/1").json(), json!({ "id": 1, "book": emma }));
    assert_eq!(client.get("/books?title=EM").json(), json!([{ "id": 1, "book": emma }]));
    assert_eq!(client.get("/books?title=persuasion").json(), json!([]));

    let json_type = ["Content-Type: application/json"];
    let changed = json!({ "title": "Emma, revised", "isbn": "9780141439587", "year": 2003 });
    assert_eq!(client.request("PUT", "/books/1", &json_type, &changed.to_string()).status, 200);
    assert_eq!(client.get("/books/1").json()["book"], changed);
    assert_eq!(client.request("DELETE", "/books/1", &[], "").status, 204);
    assert_eq!(client.get("/books/1").status, 404);
    assert_eq!(client.request("PUT", "/books/1", &json_type, &changed.to_string()).status, 404);
}

#[test]
fn each_field_that_breaks_a_rule_is_named() {
    let (_program, mut client) = api();
    let answer = client.post_json("/books", &json!({ "title": "", "isbn": "9780141439588", "year": 3000 }));
    assert_eq!(answer.status, 422);
    let fields = answer.json()["fields"].clone();
    let mut named: Vec<&String> = fields.as_object().expect("a text for each").keys().collect();
    named.sort();
    assert_eq!(named, ["isbn", "title", "year"]);
    assert_eq!(fields["isbn"], "a digit is wrong: the sum does not match");
    assert_eq!(client.get("/books").json(), json!([]));
}

#[test]
fn every_error_is_json() {
    let (_program, mut client) = api();
    for (method, target, headers, body, status) in [
        ("GET", "/nowhere", "Accept: */*", "", 404),
        ("GET", "/books/x", "Accept: */*", "", 400),
        ("PATCH", "/books/1", "Accept: */*", "", 405),
        ("POST", "/books", "Content-Type: application/json", "{", 400),
        ("POST", "/books", "Content-Type: application/json", r#"{"title": "Emma"}"#, 422),
        ("POST", "/books", "Content-Type: text/plain", "{}", 415),
    ] {
        let answer = client.request(method, target, &[headers], body);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.json()["status"], status, "{method} {target}");
        assert_eq!(answer.header("content-type").map(|kind| kind.split(';').next()), Some(Some("application/json")));
    }
}

#[test]
fn pages_of_the_one_site_may_call_it() {
    let (_program, mut client) = api();
    for (origin, allowed) in
        [("https://books.example.org", Some("https://books.example.org")), ("https://evil.example", None)]
    {
        let origin = format!("Origin: {origin}");
        let question = ["Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: content-type", &origin];
        let preflight = client.request("OPTIONS", "/books/1", &question, "");
        assert_eq!(preflight.header("access-control-allow-origin"), allowed);
        // Errors too: a page is to see what was wrong.
        let answer = client.request("GET", "/books/1", &[&origin], "");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, allowed));
    }
}
