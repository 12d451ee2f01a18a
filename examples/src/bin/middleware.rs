//! Layer: web.
//!
//! Code around handlers: a number for each request, statistics by pattern, headers on every answer, a time-out for one
//! route, and an application below a prefix with a wrap of its own, which has metrics for Prometheus.
//!
//! ```sh
//! cargo run --release --bin middleware
//! curl -i http://127.0.0.1:8888/
//! curl -i http://127.0.0.1:8888/notes/7
//! curl -i http://127.0.0.1:8888/nowhere
//! curl -i http://127.0.0.1:8888/slow
//! curl http://127.0.0.1:8888/admin/stats
//! curl http://127.0.0.1:8888/admin/metrics
//! curl -i http://127.0.0.1:8888/ready
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use web::{
    Application, Exchange, IOLoop, Next, Route, StatusCode, Wrap,
    metrics::{Metrics, readiness},
    sleep,
};

fn main() -> ExitCode {
    let address = examples::cli::listen_address("Code around handlers.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let server = application().listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    println!("listening on http://{}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

/// The wrap added first is outermost. Those of the application run for every request, also where no route answers.
pub(crate) fn application() -> Application {
    let (stats, metrics) = (Stats::default(), Metrics::new());
    Application::new()
        .metrics(&metrics)
        .wrap(numbered())
        .wrap(measured(stats.clone()))
        .wrap(hardened)
        .get("/", index)
        .get("/notes/{id}", note)
        .get("/ready", readiness)
        .add(Route::get("/slow", slow).handler_timeout(Duration::from_millis(100)))
        .nest("/admin", admin(stats, metrics))
}

fn admin(stats: Stats, metrics: Metrics) -> Application {
    Application::new()
        .wrap(loopback_only)
        .get("/metrics", metrics)
        .get("/stats", async move |exchange: &mut Exchange| exchange.write_json(&*stats.borrow()))
}

/// Left by a wrap for the handlers, which find it by its type.
struct RequestNumber(u64);

/// Gives each request a number.
fn numbered() -> impl Wrap {
    let last = Cell::new(0);
    async move |exchange: &mut Exchange, next: Next<'_>| {
        last.set(last.get() + 1);
        let number = last.get();
        exchange.extensions().set(RequestNumber(number));
        append_header(exchange, "X-Request-Number", number.to_string());
        next.run(exchange).await
    }
}

/// What the requests of one pattern have taken.
#[derive(Default, Serialize)]
struct Entry {
    requests: u64,
    milliseconds: f64,
}

/// By pattern and not by path: there are few patterns, and any number of paths.
type Stats = Rc<RefCell<BTreeMap<String, Entry>>>;

/// Keeps count of the requests and of their time.
fn measured(stats: Stats) -> impl Wrap {
    async move |exchange: &mut Exchange, next: Next<'_>| {
        let begin = Instant::now();
        let result = next.run(exchange).await;
        let pattern = exchange.pattern().unwrap_or("no route").to_owned();
        let mut stats = stats.borrow_mut();
        let entry = stats.entry(pattern).or_default();
        entry.requests += 1;
        entry.milliseconds += begin.elapsed().as_secs_f64() * 1000.0;
        result
    }
}

/// Headers that every answer of a site should have, error pages included.
async fn hardened(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    append_header(exchange, "X-Content-Type-Options", "nosniff".to_owned());
    append_header(exchange, "X-Frame-Options", "DENY".to_owned());
    next.run(exchange).await
}

/// Sets a header of whatever the response will be.
fn append_header(exchange: &mut Exchange, name: &'static str, value: String) {
    exchange.on_response(move |response| {
        if let Err(error) = response.set_header(name, value) {
            log::error!("{name}: {error}");
        }
    });
}

/// Not behind a proxy, whose address every request would have.
async fn loopback_only(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    match exchange.remote_ip() {
        Some(ip) if ip.is_loopback() => next.run(exchange).await,
        _ => Err(web::Error::http(StatusCode::FORBIDDEN, "Not from there")),
    }
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("Look at the headers of this answer\n");
    Ok(())
}

async fn note(exchange: &mut Exchange) -> web::Result<()> {
    let id: u32 = exchange.path("id")?;
    let number = exchange.extensions().get::<RequestNumber>().map_or(0, |number| number.0);
    exchange.write_text(format!("note {id}, for request {number}\n"));
    Ok(())
}

async fn slow(exchange: &mut Exchange) -> web::Result<()> {
    sleep(Duration::from_secs(3600)).await;
    exchange.write_text("done\n");
    Ok(())
}
