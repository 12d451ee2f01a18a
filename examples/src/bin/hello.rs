//! Layer: web.
//!
//! One route of each kind: arguments from the path, the query, a form and JSON; cookies, redirects,
//! streaming, uploads, a request handler, static files, an error page.
//!
//! ```sh
//! cargo run --release --bin hello
//! curl http://127.0.0.1:8888/hello/world
//! curl 'http://127.0.0.1:8888/add?a=2&b=3'
//! curl -d name=ann -d age=7 http://127.0.0.1:8888/form
//! curl --json '{"title":"tea","stars":5}' http://127.0.0.1:8888/review
//! curl -N http://127.0.0.1:8888/count
//! curl -c jar -b jar http://127.0.0.1:8888/visits
//! curl -iL http://127.0.0.1:8888/old
//! curl -d 'buy tea' http://127.0.0.1:8888/notes ; curl http://127.0.0.1:8888/notes
//! curl -H 'Transfer-Encoding: chunked' --data-binary @Cargo.lock http://127.0.0.1:8888/upload
//! curl -r 0-99 http://127.0.0.1:8888/static/index.html
//! curl -i http://127.0.0.1:8888/nowhere
//! ```

use std::{cell::RefCell, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use web::{Application, Cookie, Exchange, IOLoop, Method, RequestHandler, StatusCode, sleep};

/// Beside the sources, so that the example finds it from any working directory.
const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static");

fn main() -> ExitCode {
    let address = examples::cli::listen_address("One route of each kind.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let server = Application::new()
        .get("/", index)
        .get("/hello/{name}", hello)
        .get("/add", add)
        .post("/form", form)
        .post("/review", review)
        .get("/count", count)
        .get("/visits", visits)
        .get("/old", async |exchange: &mut Exchange| exchange.redirect("/"))
        .post("/upload", upload)
        .handler("/notes", Notes::default())
        .static_files("/static", STATIC)?
        .error_page(error_page)
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("<!doctype html><title>Hello</title><h1>Hello</h1>");
    exchange.write("<p>Try <a href=/hello/world>a name</a> or <a href=/static/index.html>a file</a>.</p>");
    Ok(())
}

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(format!("Hello, {}\n", exchange.path::<String>("name")?));
    Ok(())
}

/// The error of an argument that is missing or not a number is a 400.
async fn add(exchange: &mut Exchange) -> web::Result<()> {
    let (a, b): (i64, i64) = (exchange.query("a")?, exchange.query("b")?);
    exchange.write_text(format!("{}\n", a.saturating_add(b)));
    Ok(())
}

async fn form(exchange: &mut Exchange) -> web::Result<()> {
    let (name, age) = (exchange.argument::<String>("name").await?, exchange.argument_opt::<u8>("age").await?);
    let age = age.map_or("of unknown age".to_owned(), |age| format!("{age} years old"));
    exchange.write_text(format!("{name} is {age}\n"));
    Ok(())
}

#[derive(Deserialize, Serialize)]
struct Review {
    title: String,
    stars: u8,
}

async fn review(exchange: &mut Exchange) -> web::Result<()> {
    let review: Review = exchange.json().await?;
    if review.stars > 5 {
        return Err(web::Error::http(StatusCode::UNPROCESSABLE_ENTITY, "Five stars is the most"));
    }
    exchange.set_status(StatusCode::CREATED);
    exchange.write_json(&review)
}

/// Each flush sends what was written, and fails when the client has gone.
async fn count(exchange: &mut Exchange) -> web::Result<()> {
    for number in 1..=5 {
        exchange.write_text(format!("{number}\n"));
        exchange.flush().await?;
        sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

async fn visits(exchange: &mut Exchange) -> web::Result<()> {
    let visits = exchange.cookie("visits").and_then(|visits| visits.parse().ok()).unwrap_or(0_u32).saturating_add(1);
    exchange.set_cookie(Cookie::new("visits", visits.to_string()))?;
    exchange.write_text(format!("visit number {visits}\n"));
    Ok(())
}

/// Reads an upload of any size, holding one piece at a time.
async fn upload(exchange: &mut Exchange) -> web::Result<()> {
    let mut size = 0;
    while let Some(piece) = exchange.chunk().await? {
        size += piece.len();
    }
    exchange.write_text(format!("{size} bytes\n"));
    Ok(())
}

/// What clients can store needs a bound.
const MOST_NOTES: usize = 100;

/// A resource with several methods, and with state of its own.
#[derive(Default)]
struct Notes {
    notes: RefCell<Vec<String>>,
}

impl RequestHandler for Notes {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST, Method::DELETE];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let notes = self.notes.borrow().join("\n");
        exchange.write_text(notes + "\n");
        Ok(())
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let note = String::from_utf8_lossy(&exchange.bytes_limited(1000).await?).into_owned();
        let mut notes = self.notes.borrow_mut();
        if notes.len() == MOST_NOTES {
            notes.remove(0);
        }
        notes.push(note);
        exchange.set_status(StatusCode::CREATED);
        Ok(())
    }

    async fn delete(&self, exchange: &mut Exchange) -> web::Result<()> {
        self.notes.borrow_mut().clear();
        exchange.set_status(StatusCode::NO_CONTENT);
        Ok(())
    }
}

fn error_page(exchange: &mut Exchange, error: &web::Error) {
    let status = error.status();
    exchange.write(format!("<!doctype html><title>{status}</title><h1>{status}</h1>"));
    exchange.write(format!("<p>{}</p>", web::xhtml_escape(&error.message())));
}
