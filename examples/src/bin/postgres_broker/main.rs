//! Layer: web.
//!
//! News by event stream, WebSocket and long poll, through PostgreSQL: any number of instances over one database are one
//! service, and every other program publishes by SQL.
//!
//! ```sh
//! createdb news
//! cargo run --release --features postgres --bin postgres_broker -- --port 8001 --database postgres://localhost/news
//! cargo run --release --features postgres --bin postgres_broker -- --port 8002 --database postgres://localhost/news
//! curl -N http://127.0.0.1:8001/weather                              # a stream; `?way=poll`, `?way=socket`
//! curl -d 'It will rain' http://127.0.0.1:8002/weather
//! psql news -c "SELECT waterspout.publish('weather', to_json('It rains'::text))"
//! ```
//!
//! `broker` is for your own program to copy: a broker of a hub over a table and NOTIFY.

// A program exports nothing: `pub` is for its other modules.
#![allow(unreachable_pub)]

mod broker;

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use web::{
    Application, Exchange, IOLoop, StatusCode,
    comet::{Hub, HubOptions},
};

use crate::broker::PostgresOptions;

const ABOUT: &str = "News by event stream, WebSocket and long poll, through PostgreSQL.

  --database URL  the database through which several instances are one [default: postgres://localhost/postgres]";

/// How long answers may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(2);

/// What the database keeps of each channel.
const HISTORY: i32 = 1000;
const KEEP: Duration = Duration::from_secs(60 * 60);

/// How long a publication waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is sent to those who come for the first time.
const LATEST: usize = 10;

fn main() -> ExitCode {
    let (database, rest) = examples::cli::take_option(std::env::args_os().skip(1), "--database");
    let address = examples::cli::listen_address_from(rest, ABOUT);
    examples::cli::exit_code(serve(address, database.as_deref().unwrap_or("postgres://localhost/postgres")))
}

fn serve(address: SocketAddr, database: &str) -> Result<(), Box<dyn Error>> {
    let broker = PostgresOptions::new(database)?.history(HISTORY, KEEP).publish_timeout(PATIENCE).connect();
    let hub = Hub::with_broker(HubOptions::new(), broker);
    let server = application(hub).listen(address)?;
    server.drain_on_signal(DRAIN)?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

fn application(hub: Hub) -> Application {
    let publisher = hub.clone();
    Application::new()
        .get("/{channel}", async move |exchange: &mut Exchange| {
            let channel: String = exchange.path("channel")?;
            let delivery = hub.deliver(&channel).latest(LATEST);
            match exchange.query_opt::<String>("way")?.as_deref() {
                None | Some("events") => delivery.event_stream(exchange),
                Some("socket") => delivery.websocket(exchange),
                Some("poll") => delivery.long_poll(exchange).await,
                Some(_) => Err(web::Error::http(StatusCode::BAD_REQUEST, "The ways are events, socket and poll")),
            }
        })
        .post("/{channel}", async move |exchange: &mut Exchange| {
            let channel: String = exchange.path("channel")?;
            let text = exchange.text().await?;
            let cursor = publisher.publish(&channel, &text).await?;
            exchange.write_text(format!("{cursor}\n"));
            Ok(())
        })
}
