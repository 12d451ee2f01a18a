//! Layer: web.
//!
//! A site of a single page, whose script draws `/` and `/layers/web` from a JSON API. Its assets were compressed beforehand.
//!
//! ```sh
//! cargo run --release --bin single_page      # then open http://127.0.0.1:8888/layers/web
//! curl -I -H 'Accept-Encoding: br' http://127.0.0.1:8888/app.js
//! ```

use std::{env, error::Error, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use examples::page;
use serde::Serialize;
use web::{Application, Exchange, HttpError, IOLoop, StaticFiles, StatusCode, security::SecurityHeaders};

fn main() -> ExitCode {
    let (assets, rest) = examples::cli::take_option(env::args_os().skip(1), "--assets");
    let about = "A site of a single page.\n\n  --assets D   its files [default: those in the repository]";
    let address = examples::cli::listen_address_from(rest, about);
    let assets =
        assets.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("single_page/assets"), PathBuf::from);
    examples::cli::exit_code(serve(address, assets))
}

fn serve(address: SocketAddr, assets: PathBuf) -> Result<(), Box<dyn Error>> {
    let server = application(assets)?.listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

fn application(assets: PathBuf) -> web::Result<Application> {
    let files = StaticFiles::new(assets)?
        .index("index.html")
        // `/layers/web` is no file: the page is the same, and its script looks at the address.
        .fallback("index.html")
        // `app.js.br` and `app.js.gz` beside `app.js`, for those who accept them.
        .precompressed(true)
        // Asked for at each visit, and answered by 304 without a body unless there is a new build.
        .cache_control("no-cache");
    let api = Application::new().get("/layers", layers).get("/layers/{name}", layer).get("/{*path}", nothing);
    let policy = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    let application = page::add_to(Application::new(), &[page::BASE_STYLE, page::ICON]);
    Ok(application
        .wrap(SecurityHeaders::new().content_security_policy(policy))
        .nest("/api", api)
        .static_handler("/", files))
}

#[derive(Serialize)]
struct Layer {
    name: &'static str,
    about: &'static str,
}

const LAYERS: [Layer; 4] = [
    Layer { name: "web", about: "Routes, handlers, static files, comet." },
    Layer { name: "httpserver", about: "HTTP/1.1 with limits and time-outs, strict and fast." },
    Layer { name: "iostream", about: "Buffered streams over TCP, Unix sockets, pipes and TLS." },
    Layer { name: "ioloop", about: "Descriptors, callbacks, timers, tasks, signals." },
];

async fn layers(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&LAYERS)
}

async fn layer(exchange: &mut Exchange) -> web::Result<()> {
    let name: String = exchange.path("name")?;
    let found = LAYERS.iter().find(|layer| layer.name == name);
    exchange.write_json(found.ok_or_else(|| HttpError::new(StatusCode::NOT_FOUND))?)
}

/// A path below `/api` that is none is not the page's.
async fn nothing(_exchange: &mut Exchange) -> web::Result<()> {
    Err(HttpError::new(StatusCode::NOT_FOUND).into())
}
