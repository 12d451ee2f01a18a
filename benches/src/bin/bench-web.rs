//! The server that is measured at the level of `web`: an application with routes and handlers, all four layers.
//!
//! The routes are those of `bench-http`: `GET /plaintext`, `GET /json`, `POST /echo` up to 16 MiB, `GET /user/{id}`;
//! `GET /park` waits until `GET /release`. Beside them `GET /files/1k.bin`, `100k.bin` and `10m.bin` are static files, and
//! `GET /page` is one of 20 KiB, compressed for those who accept it. `GET /wrapped` is the plaintext inside four wraps that do
//! nothing, and `GET /routes/{number}/{id}` one of 300 routes with a parameter. `GET /allocations` and `GET /sizes` tell what
//! the program knows of its own memory.
//!
//! Run with `cargo run --release -p benches --bin bench-web -- --port 8080`.

use std::{
    error::Error,
    path::Path,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use benches::{
    counting_allocator::CountingAllocator,
    files::Files,
    gate::Gate,
    message::{ECHO_LIMIT, HELLO, Message, Sizes},
    options::{ServerOptions, announce},
    process::raise_descriptor_limit,
};
use web::{Application, Compress, Exchange, IOLoop, Next, Route, StaticFiles};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Known once the server exists, told by a handler that is a part of it.
static SIZES: OnceLock<Sizes> = OnceLock::new();

/// A table, as templates make them.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let row = |number: u32| {
        let hash = number.wrapping_mul(2_654_435_761);
        format!("<tr><td>{number}</td><td>visitor {hash:08x}</td><td class=\"amount\">{}</td></tr>\n", hash % 100_000)
    };
    let mut page: String = (0..1000).map(row).collect();
    page.truncate(20 * 1024);
    page
});

fn main() -> Result<(), Box<dyn Error>> {
    let options = ServerOptions::from_env();
    if options.count_allocations {
        ALLOCATOR.enable();
    }
    raise_descriptor_limit()?;
    let files = Files::create()?;
    let server = with_files(application(), files.path()).into_server();
    SIZES.get_or_init(|| Sizes { connection_future: server.connection_future_size() });
    let server = server.listen(options.socket_addr())?;
    announce(server.local_addr())?;
    server.drain_on_signal(Duration::from_secs(5))?;
    IOLoop::current().start();
    Ok(())
}

const ROUTES: usize = 300;

/// Without files where the system call for them is missing: valgrind does not know it.
fn with_files(application: Application, directory: &Path) -> Application {
    match StaticFiles::new(directory) {
        Ok(files) => application.static_handler("/files", files),
        Err(error) => {
            eprintln!("there is no /files: {error}");
            application
        }
    }
}

fn application() -> Application {
    let parked = Gate::new();
    let released = parked.clone();
    let routes = Application::new();
    let routes = (0..ROUTES).fold(routes, |routes, number| routes.get(&format!("/routes/{number}/{{id}}"), user));
    routes
        .get("/plaintext", plaintext)
        .get("/json", json)
        .add(Route::get("/wrapped", plaintext).wrap(pass).wrap(pass).wrap(pass).wrap(pass))
        .post("/echo", echo)
        .get("/user/{id}", user)
        .add(Route::get("/page", page).wrap(Compress::new()))
        .get("/park", async move |exchange: &mut Exchange| {
            exchange.while_connected(parked.wait()).await?;
            exchange.write("released");
            Ok(())
        })
        .get("/release", async move |exchange: &mut Exchange| {
            exchange.write(format!("released {}", released.open()));
            Ok(())
        })
        .get("/allocations", allocations)
        .get("/sizes", sizes)
}

async fn plaintext(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(HELLO);
    Ok(())
}

async fn pass(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    next.run(exchange).await
}

async fn json(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&Message { message: HELLO })
}

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let body = exchange.bytes_limited(ECHO_LIMIT).await?;
    exchange.write(body);
    Ok(())
}

async fn user(exchange: &mut Exchange) -> web::Result<()> {
    let id = exchange.path::<String>("id")?;
    exchange.write(id);
    Ok(())
}

async fn page(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(&**PAGE);
    Ok(())
}

async fn allocations(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&ALLOCATOR.counters())
}

async fn sizes(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_json(&SIZES.get())
}
