//! Layer: web.
//!
//! A JSON API: a shelf of books. What comes in is validated, every error is JSON, and the pages of one other site may call
//! it (CORS).
//!
//! ```sh
//! cargo run --release --bin json_api
//! curl --json '{"title": "Emma", "isbn": "9780141439587", "year": 1815}' http://127.0.0.1:8888/books
//! curl --json '{"title": "", "isbn": "1", "year": 3000}' http://127.0.0.1:8888/books
//! curl http://127.0.0.1:8888/books?title=em
//! ```

use std::{
    cell::RefCell, collections::BTreeMap, error::Error, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration,
};

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use web::{Application, Exchange, HttpError, IOLoop, Method, RequestHandler, StatusCode, security::Cors};

/// The site whose pages may call the API.
const SITE: &str = "https://books.example.org";

#[derive(Clone, Debug, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields)]
struct Book {
    #[garde(length(chars, min = 1, max = 200))]
    title: String,
    #[garde(custom(is_isbn))]
    isbn: String,
    #[garde(range(min = 1450, max = 2100))]
    year: u16,
}

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A JSON API with validation.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let shelf = Rc::new(Shelf::default());
    let server = Application::new()
        .handler("/books", Books(shelf.clone()))
        .handler("/books/{id}", OneBook(shelf))
        .body_limit(16 * 1024)
        .error_page(json_error)
        .wrap(Cors::new().origin(SITE).headers(["Content-Type"]))
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

/// Errors that were not made into an answer by a handler: 400, 404, 405, 413, 415, 422 and 500.
fn json_error(exchange: &mut Exchange, error: &web::Error) {
    let body = json!({ "status": error.status().as_u16(), "error": error.message() });
    if let Err(error) = exchange.write_json(&body) {
        log::error!("an error without a page: {error}");
    }
}

#[derive(Default)]
struct Shelf {
    books: RefCell<BTreeMap<u64, Book>>,
}

/// `/books`: all of them, and a new one.
struct Books(Rc<Shelf>);

impl RequestHandler for Books {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let part = exchange.query_opt::<String>("title")?.unwrap_or_default().to_lowercase();
        let most = exchange.query_opt::<usize>("most")?.unwrap_or(100);
        let books = self.0.books.borrow();
        let found = books.iter().filter(|(_, book)| book.title.to_lowercase().contains(&part)).take(most);
        exchange.write_json(&found.map(|(id, book)| json!({ "id": id, "book": book })).collect::<Vec<_>>())
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let Some(book) = valid_book(exchange).await? else { return Ok(()) };
        let id = self.0.books.borrow().last_key_value().map_or(1, |(last, _)| last + 1);
        self.0.books.borrow_mut().insert(id, book.clone());
        exchange.set_status(StatusCode::CREATED);
        exchange.set_header("Location", format!("/books/{id}"))?;
        exchange.write_json(&json!({ "id": id, "book": book }))
    }
}

/// `/books/{id}`: one of them.
struct OneBook(Rc<Shelf>);

impl RequestHandler for OneBook {
    const METHODS: &'static [Method] = &[Method::GET, Method::PUT, Method::DELETE];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let id: u64 = exchange.path("id")?;
        let book = self.0.books.borrow().get(&id).cloned().ok_or_else(no_such_book)?;
        exchange.write_json(&json!({ "id": id, "book": book }))
    }

    async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
        let id: u64 = exchange.path("id")?;
        let Some(book) = valid_book(exchange).await? else { return Ok(()) };
        // Behind the wait for the body: the book may be gone by now.
        *self.0.books.borrow_mut().get_mut(&id).ok_or_else(no_such_book)? = book.clone();
        exchange.write_json(&json!({ "id": id, "book": book }))
    }

    async fn delete(&self, exchange: &mut Exchange) -> web::Result<()> {
        let id: u64 = exchange.path("id")?;
        self.0.books.borrow_mut().remove(&id).ok_or_else(no_such_book)?;
        exchange.set_status(StatusCode::NO_CONTENT);
        Ok(())
    }
}

/// The book in the request. When it breaks a rule, the answer is a 422 with a text for each field, and `None` is returned.
async fn valid_book(exchange: &mut Exchange) -> web::Result<Option<Book>> {
    let book: Book = exchange.json().await?;
    let Err(report) = book.validate() else { return Ok(Some(book)) };
    let fields: BTreeMap<String, String> =
        report.iter().map(|(field, error)| (field.to_string(), error.to_string())).collect();
    exchange.set_status(StatusCode::UNPROCESSABLE_ENTITY);
    exchange.write_json(&json!({ "status": 422, "error": "The book breaks some rules", "fields": fields }))?;
    Ok(None)
}

fn no_such_book() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND).message("No such book")
}

/// Thirteen digits, the last of which follows from the others.
fn is_isbn(isbn: &str, _context: &()) -> garde::Result {
    let digits: Option<Vec<u32>> = isbn.chars().map(|digit| digit.to_digit(10)).collect();
    let digits = digits.filter(|digits| digits.len() == 13).ok_or_else(|| garde::Error::new("13 digits are needed"))?;
    let sum: u32 = digits.iter().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    match sum % 10 {
        0 => Ok(()),
        _ => Err(garde::Error::new("a digit is wrong: the sum does not match")),
    }
}
