//! Layer: web.
//!
//! A page to work on, with settings from a file and from the environment. In debug mode it shows what went wrong, and follows
//! every change: of a template or a style sheet at once, of the program after each build.
//!
//! ```sh
//! cargo run --bin live                   # and a browser at http://127.0.0.1:8888/
//! cargo build --bin live                 # elsewhere, after a change
//! LIVE_DEBUG=false LIVE_ADDRESS=127.0.0.1:8000 cargo run --bin live
//! ```

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use config::{Config, Environment, File};
use serde::Deserialize;
use web::{
    Application, Exchange, IOLoop,
    locale::Locales,
    templates::{Templates, context},
};

/// What an operator decides. `settings.toml` has the values for working on it; `LIVE_ADDRESS` and the like go before them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: SocketAddr,
    debug: bool,
    /// Of the page.
    title: String,
    /// How long requests may go on when the program is to end.
    drain_seconds: u64,
}

impl Settings {
    fn load() -> Result<Settings, config::ConfigError> {
        let file = directory().join("settings.toml");
        let environment = Environment::with_prefix("LIVE").try_parsing(true);
        Config::builder().add_source(File::from(file)).add_source(environment).build()?.try_deserialize()
    }
}

/// Beside the sources: a program that is deployed has its files elsewhere.
fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/live"))
}

fn main() -> ExitCode {
    examples::cli::start_log();
    examples::cli::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::load().map_err(|error| format!("settings: {error}"))?;
    let (address, patience) = (settings.address, Duration::from_secs(settings.drain_seconds));
    if settings.debug {
        return Ok(web::debug::serve(address, || application(settings))?);
    }
    let server = application(settings)?.listen(address)?;
    server.drain_on_signal(patience)?;
    println!("listening on http://{}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

fn application(settings: Settings) -> web::Result<Application> {
    let templates = Templates::from_directory(directory().join("templates"))?.global("title", settings.title);
    let locales = Locales::new("en").csv_directory(directory().join("locale"))?.cookie("language");
    Application::new()
        .get("/", index)
        .get("/mistake", mistake)
        .templates(templates)
        .locales(locales)
        .static_files("/static", directory().join("static"))
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    exchange.render("index.html", context! { process => std::process::id() })
}

/// What an error looks like.
async fn mistake(exchange: &mut Exchange) -> web::Result<()> {
    let text = exchange.query_opt::<String>("number")?.unwrap_or("seven".to_owned());
    exchange.debug_value("text", &text);
    let number: u32 = text.parse()?;
    exchange.write_text(format!("{number} is no mistake\n"));
    Ok(())
}
