//! Conditional requests to handlers that set their validators themselves.

mod util;

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use util::{Server, serve};
use web::{Application, Exchange, Method, RequestHandler, StatusCode};

const MODIFIED: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

async fn page(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("ETag", "W/\"v1\"")?;
    exchange.set_header("Cache-Control", "max-age=60")?;
    exchange.set_header("Content-Type", "text/plain")?;
    exchange.write("page");
    Ok(())
}

async fn dated(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("Last-Modified", MODIFIED)?;
    exchange.write("dated");
    Ok(())
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("ETag", "\"v1\"")?;
    for piece in ["one ", "two"] {
        exchange.write(piece);
        exchange.flush().await?;
    }
    Ok(())
}

async fn missing(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("ETag", "\"v1\"")?;
    exchange.set_status(StatusCode::NOT_FOUND);
    exchange.write("missing");
    Ok(())
}

async fn plain(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("plain");
    Ok(())
}

async fn known(exchange: &mut Exchange) -> web::Result<()> {
    exchange.set_header("ETag", "\"v1\"")?;
    if exchange.is_not_modified() {
        exchange.set_header("X-Spared", "1")?;
        return Ok(());
    }
    exchange.write("known");
    Ok(())
}

/// A text that can be made, changed and removed, but only by a client that knows which one there is.
#[derive(Default)]
struct Note(RefCell<Option<String>>);

impl Note {
    fn etag(&self) -> Option<String> {
        self.0.borrow().as_ref().map(|text| format!("\"{text}\""))
    }
}

impl RequestHandler for Note {
    const METHODS: &'static [Method] = &[Method::PUT, Method::DELETE];

    async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.check_preconditions(self.etag().as_deref(), None)?;
        let text = String::from_utf8_lossy(&exchange.bytes().await?).into_owned();
        self.0.replace(Some(text));
        exchange.set_header("ETag", self.etag().unwrap())
    }

    async fn delete(&self, exchange: &mut Exchange) -> web::Result<()> {
        // With a fraction, which HTTP dates do not have.
        let modified: SystemTime = UNIX_EPOCH + Duration::from_millis(1_000_000_000_500);
        exchange.check_preconditions(None, Some(modified))
    }
}

fn server() -> Server {
    serve(|| {
        Application::new()
            .get("/page", page)
            .post("/page", page)
            .get("/dated", dated)
            .get("/streamed", streamed)
            .get("/missing", missing)
            .get("/plain", plain)
            .get("/known", known)
            .handler("/note", Note::default())
    })
}

#[test]
fn a_handlers_own_tag_makes_a_304() {
    let server = server();
    let get = |target: &str, headers: &str| server.send("GET", target, headers, "");
    let reply = get("/page", "If-None-Match: \"v1\"\r\n");
    assert_eq!((reply.status, reply.header("etag")), (304, Some("W/\"v1\"")));
    assert_eq!(reply.header("cache-control"), Some("max-age=60"));
    assert_eq!(reply.header("content-type"), None);
    assert_eq!(server.send("HEAD", "/page", "If-None-Match: *\r\n", "").status, 304);
    assert_eq!(get("/page", "If-None-Match: \"v2\"\r\n").text(), "page");
    assert_eq!(get("/dated", &format!("If-Modified-Since: {MODIFIED}\r\n")).status, 304);
    assert_eq!(get("/dated", "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n").text(), "dated");
}

#[test]
fn a_handlers_own_tag_makes_a_412() {
    let server = server();
    let get = |target: &str, headers: &str| server.send("GET", target, headers, "");
    for target in ["/page", "/streamed"] {
        let reply = get(target, "If-Match: \"v2\"\r\n");
        assert_eq!(reply.status, 412, "{target}");
        assert!(reply.text().contains("412: Precondition Failed"), "{reply:?}");
    }
    // A weak tag promises nothing about bytes.
    assert_eq!(get("/page", "If-Match: W/\"v1\"\r\n").status, 412);
    assert_eq!(get("/streamed", "If-Match: \"v1\"\r\n").text(), "one two");
    assert_eq!(get("/dated", "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n").status, 412);
}

#[test]
fn a_streamed_answer_can_be_a_304_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    client.request("GET", "/streamed", "If-None-Match: \"v1\"\r\n", "");
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("transfer-encoding")), (304, None));
    client.request("GET", "/streamed", "", "");
    assert_eq!(client.reply().text(), "one two");
}

#[test]
fn conditions_count_only_for_a_success_with_validators() {
    let server = server();
    let conditions = "If-None-Match: *\r\n";
    assert_eq!(server.send("GET", "/missing", conditions, "").status, 404);
    assert_eq!(server.send("GET", "/plain", conditions, "").status, 200);
    // What a POST does has been done.
    assert_eq!(server.send("POST", "/page", "If-Match: \"v2\"\r\n", "x").status, 200);
}

#[test]
fn a_handler_can_ask_whether_its_work_is_needed() {
    let server = server();
    let reply = server.send("GET", "/known", "If-None-Match: \"v1\"\r\n", "");
    assert_eq!((reply.status, reply.header("x-spared")), (304, Some("1")));
    assert_eq!(server.get("/known").text(), "known");
}

#[test]
fn a_change_can_be_bound_to_the_version_it_replaces() {
    let server = server();
    let put = |headers: &str, body: &str| server.send("PUT", "/note", headers, body).status;
    assert_eq!(put("If-Match: *\r\n", "a"), 412, "nothing is there to be replaced");
    assert_eq!(put("If-None-Match: *\r\n", "a"), 200);
    assert_eq!(put("If-None-Match: *\r\n", "b"), 412, "it is there already");
    assert_eq!(put("If-Match: \"b\"\r\n", "c"), 412);
    assert_eq!(put("If-Match: \"a\"\r\n", "b"), 200);
    assert_eq!(put("If-Match: \"b\"\r\n", "c"), 200);
    assert_eq!(put("", "d"), 200);
    let delete = |headers: &str| server.send("DELETE", "/note", headers, "").status;
    assert_eq!(delete(&format!("If-Unmodified-Since: {MODIFIED}\r\n")), 200);
    assert_eq!(delete("If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n"), 412);
}
