//! Layer: web.
//!
//! A driver that blocks: bookmarks in SQLite, found by the words of their titles. Each query runs on a thread of the
//! executor with a connection of a pool (`examples::pool`), so that a slow one holds up no other request.
//!
//! ```sh
//! cargo run --release --bin bookmarks -- --database bookmarks.sqlite
//! curl -d url=https://www.rust-lang.org -d 'title=The Rust language' http://127.0.0.1:8888/bookmarks
//! curl http://127.0.0.1:8888/bookmarks?words=rust
//! ```

use std::{env, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use examples::pool::Pool;
use rusqlite::{Connection, params};
use serde::Serialize;
use web::{Application, Exchange, HttpError, IOLoop, Method, RequestHandler, StatusCode};

/// As many queries as may run at a time.
const CONNECTIONS: usize = 4;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS bookmarks (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, title TEXT NOT NULL);
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, content = 'bookmarks', content_rowid = 'id');
    CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON bookmarks BEGIN
        INSERT INTO words (rowid, title) VALUES (new.id, new.title);
    END;";

fn main() -> ExitCode {
    let (database, rest) = examples::cli::take_option(env::args_os().skip(1), "--database");
    let about = "Bookmarks in SQLite.\n\n  --database F where they are kept [default: bookmarks.sqlite]";
    let address = examples::cli::listen_address_from(rest, about);
    let database = database.unwrap_or_else(|| "bookmarks.sqlite".to_owned());
    examples::cli::exit_code(serve(address, &database))
}

fn serve(address: SocketAddr, database: &str) -> Result<(), Box<dyn Error>> {
    let connections: Vec<Connection> = (0..CONNECTIONS).map(|_| open(database)).collect::<Result<_, _>>()?;
    connections[0].execute_batch(SCHEMA)?;
    let server =
        Application::new().handler("/bookmarks", Bookmarks { pool: Pool::new(connections) }).listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

fn open(database: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    // Readers do not wait for the writer, and a writer waits for another one no longer than this.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

struct Bookmarks {
    pool: Pool<Connection>,
}

#[derive(Serialize)]
struct Bookmark {
    id: i64,
    url: String,
    title: String,
}

impl RequestHandler for Bookmarks {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let words = exchange.query_opt::<String>("words")?;
        // `?` twice: for a panic over there, and for what the database says.
        exchange.write_json(&self.pool.with(move |connection| find(connection, words.as_deref())).await??)
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let url: String = exchange.argument("url").await?;
        let title: String = exchange.argument("title").await?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(HttpError::new(StatusCode::BAD_REQUEST)
                .message("A bookmark begins with http:// or https://")
                .into());
        }
        let added = self.pool.with(move |connection| {
            let insert = "INSERT INTO bookmarks (url, title) VALUES (?1, ?2) ON CONFLICT (url) DO NOTHING";
            connection.execute(insert, params![url, title])
        });
        match added.await?? {
            0 => Err(HttpError::new(StatusCode::CONFLICT).message("That bookmark is there already").into()),
            _ => exchange.redirect_with(StatusCode::SEE_OTHER, "/bookmarks"),
        }
    }
}

/// The newest hundred, or the hundred that match best.
fn find(connection: &Connection, words: Option<&str>) -> rusqlite::Result<Vec<Bookmark>> {
    let row = |row: &rusqlite::Row<'_>| Ok(Bookmark { id: row.get(0)?, url: row.get(1)?, title: row.get(2)? });
    let Some(words) = words else {
        let mut newest = connection.prepare("SELECT id, url, title FROM bookmarks ORDER BY id DESC LIMIT 100")?;
        return newest.query_map([], row)?.collect();
    };
    // Each word in quotes: what a client types is text to look for, not a query in SQLite's language.
    let query: Vec<String> =
        words.split_whitespace().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    let mut matching = connection.prepare(
        "SELECT id, url, bookmarks.title FROM words JOIN bookmarks ON id = words.rowid
         WHERE words MATCH ?1 ORDER BY rank LIMIT 100",
    )?;
    matching.query_map([query.join(" ")], row)?.collect()
}
