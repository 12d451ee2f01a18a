//! Layer: web.
//!
//! A to-do list: pages made by templates, forms with XSRF tokens, and SQLite on the threads of the executor.
//!
//! ```sh
//! cargo run --release --bin todo       # then open http://127.0.0.1:8888
//! ```

use std::{env, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use examples::{
    page::{self, Asset},
    pool::Pool,
};
use rusqlite::{Connection, params};
use serde::Serialize;
use web::{
    Application, Exchange, HttpError, IOLoop, Route, StatusCode, security::Xsrf, templates::Templates, with_state,
};

const ASSETS: [Asset; 3] =
    [Asset { path: "/style.css", content: include_str!("../../todo/style.css") }, page::BASE_STYLE, page::ICON];

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS items
    (id INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL DEFAULT FALSE)";

/// The longest text, in characters.
const LONGEST: usize = 200;

fn main() -> ExitCode {
    let (database, rest) = examples::cli::take_option(env::args_os().skip(1), "--database");
    let about = "A to-do list.\n\n  --database F where it is kept [default: todo.sqlite]";
    let address = examples::cli::listen_address_from(rest, about);
    examples::cli::exit_code(serve(address, database.as_deref().unwrap_or("todo.sqlite")))
}

fn serve(address: SocketAddr, database: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(database)?;
    let server = application(connection)?.listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

pub(crate) fn application(connection: Connection) -> Result<Application, Box<dyn Error>> {
    connection.execute_batch(SCHEMA)?;
    let templates = Templates::embedded([
        ("base.html", include_str!("../../todo/base.html")),
        ("index.html", include_str!("../../todo/index.html")),
    ])?;
    let application = Application::new()
        .state(List(Pool::new([connection])))
        .templates(templates)
        .wrap(Xsrf::new())
        .add(Route::get("/", with_state(index)).name("index"))
        .add(Route::post("/items", with_state(add)).name("add"))
        .add(Route::post("/items/{id}/done", with_state(toggle)).name("done"))
        .add(Route::post("/items/{id}/delete", with_state(delete)).name("delete"));
    Ok(page::add_to(application, &ASSETS))
}

async fn index(exchange: &mut Exchange, list: &List) -> web::Result<()> {
    show(exchange, list, None).await
}

async fn add(exchange: &mut Exchange, list: &List) -> web::Result<()> {
    let text: String = exchange.argument("text").await?;
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().count() > LONGEST {
        exchange.set_status(StatusCode::UNPROCESSABLE_ENTITY);
        return show(exchange, list, Some("Between 1 and 200 characters, please.")).await;
    }
    list.change(move |items| items.execute("INSERT INTO items (text) VALUES (?1)", params![text])).await?;
    back(exchange)
}

async fn toggle(exchange: &mut Exchange, list: &List) -> web::Result<()> {
    let id: i64 = exchange.path("id")?;
    list.change(move |items| items.execute("UPDATE items SET done = NOT done WHERE id = ?1", params![id])).await?;
    back(exchange)
}

async fn delete(exchange: &mut Exchange, list: &List) -> web::Result<()> {
    let id: i64 = exchange.path("id")?;
    list.change(move |items| items.execute("DELETE FROM items WHERE id = ?1", params![id])).await?;
    back(exchange)
}

/// Behind a form, so that loading the page again does not send the form again.
fn back(exchange: &mut Exchange) -> web::Result<()> {
    let index = exchange.reverse_url("index", ())?;
    exchange.redirect_with(StatusCode::SEE_OTHER, &index)
}

async fn show(exchange: &mut Exchange, list: &List, problem: Option<&str>) -> web::Result<()> {
    let items = list.all().await?;
    let open = items.iter().filter(|item| !item.done).count();
    exchange.render("index.html", Page { items, open, problem })
}

/// What the template is given.
#[derive(Serialize)]
struct Page<'p> {
    items: Vec<Item>,
    open: usize,
    problem: Option<&'p str>,
}

#[derive(Serialize)]
struct Item {
    id: i64,
    text: String,
    done: bool,
}

/// The list in its database.
struct List(Pool<Connection>);

impl List {
    async fn all(&self) -> web::Result<Vec<Item>> {
        let query = |items: &mut Connection| {
            let mut all = items.prepare("SELECT id, text, done FROM items ORDER BY done, id")?;
            let item = |row: &rusqlite::Row<'_>| Ok(Item { id: row.get(0)?, text: row.get(1)?, done: row.get(2)? });
            all.query_map([], item)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        // `?` twice: for a panic over there, and for what the database says.
        Ok(self.0.with(query).await??)
    }

    /// Runs a statement that changes one item. 404 when it is not there.
    async fn change(
        &self,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static,
    ) -> web::Result<()> {
        match self.0.with(|items| statement(items)).await?? {
            0 => Err(HttpError::new(StatusCode::NOT_FOUND).message("That item is not there any more").into()),
            _ => Ok(()),
        }
    }
}
