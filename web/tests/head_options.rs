//! HEAD from GET, and OPTIONS.

mod util;

use util::serve;
use web::{Application, Exchange, Method, RequestHandler};

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("Hello");
    Ok(())
}

async fn tagged(exchange: &mut Exchange) -> web::Result<()> {
    let method = exchange.method().clone();
    exchange.set_header("X-Method", method)
}

struct Both;

impl RequestHandler for Both {
    const METHODS: &'static [Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.write("from get");
        Ok(())
    }

    async fn head(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.set_header("X-From", "head")
    }

    async fn options(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.write("from options");
        Ok(())
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = serve(|| Application::new().get("/", hello));
    let mut client = server.connect();
    client.request("HEAD", "/", "", "");
    client.request("GET", "/", "", "");
    let head = client.reply_to("HEAD");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("5"));
    assert_eq!(head.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(client.reply().text(), "Hello");
}

/// Sets a length, and writes what the query says.
async fn announced(exchange: &mut Exchange) -> web::Result<()> {
    if let Some(length) = exchange.query_opt::<u64>("length")? {
        exchange.set_header("Content-Length", length.to_string())?;
    }
    exchange.write(exchange.query::<String>("text")?);
    if exchange.query_opt::<u8>("flush")?.is_some() {
        exchange.flush().await?;
    }
    Ok(())
}

#[test]
fn the_length_of_head_is_that_of_get_whatever_was_set() {
    let server = serve(|| Application::new().get("/", announced));
    for query in ["text=", "text=hello", "text=hello&length=5", "text=hello&length=7", "text=hello&length=0"] {
        let (get, head) = (server.get(&format!("/?{query}")), server.send("HEAD", &format!("/?{query}"), "", ""));
        assert_eq!(get.header("content-length"), Some(get.body.len().to_string().as_str()), "{query}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{query}");
    }
    for query in ["text=hello&flush=1", "text=hello&length=5&flush=1"] {
        let (get, head) = (server.get(&format!("/?{query}")), server.send("HEAD", &format!("/?{query}"), "", ""));
        assert_eq!((get.text(), head.header("content-length")), ("hello", get.header("content-length")), "{query}");
    }
}

#[test]
fn a_head_route_goes_before_the_get_route() {
    let server = serve(|| Application::new().get("/", hello).head("/", tagged));
    assert_eq!(server.send("HEAD", "/", "", "").header("x-method"), Some("HEAD"));
    assert_eq!(server.get("/").header("x-method"), None);
}

#[test]
fn the_get_route_sees_that_it_is_head() {
    let server = serve(|| Application::new().get("/", tagged));
    assert_eq!(server.send("HEAD", "/", "", "").header("x-method"), Some("HEAD"));
}

#[test]
fn head_of_an_unknown_path_has_no_body_either() {
    let server = serve(|| Application::new().get("/", hello));
    let mut client = server.connect();
    client.request("HEAD", "/unknown", "", "");
    client.request("GET", "/", "", "");
    assert_eq!(client.reply_to("HEAD").status, 404);
    assert_eq!(client.reply().text(), "Hello");
}

#[test]
fn options_lists_the_methods_of_the_path() {
    let server = serve(|| Application::new().get("/", hello).post("/", hello));
    let reply = server.send("OPTIONS", "/", "", "");
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(reply.header("content-type"), None);
    assert_eq!(server.send("OPTIONS", "/unknown", "", "").status, 404);
}

#[test]
fn options_of_the_server_lists_the_methods_of_all_paths() {
    let server = serve(|| Application::new().get("/", hello).put("/x", hello));
    let reply = server.send("OPTIONS", "*", "", "");
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("allow"), Some("GET, HEAD, PUT, OPTIONS"));
}

#[test]
fn handlers_can_take_head_and_options_themselves() {
    let server = serve(|| Application::new().handler("/", Both));
    assert_eq!(server.get("/").text(), "from get");
    assert_eq!(server.send("HEAD", "/", "", "").header("x-from"), Some("head"));
    assert_eq!(server.send("OPTIONS", "/", "", "").text(), "from options");
}

#[test]
fn an_options_route_goes_before_the_automatic_answer() {
    let server = serve(|| Application::new().get("/", hello).options("/", tagged));
    let reply = server.send("OPTIONS", "/", "", "");
    assert_eq!((reply.status, reply.header("x-method")), (200, Some("OPTIONS")));
}
