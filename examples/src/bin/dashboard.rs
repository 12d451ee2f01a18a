//! Layer: web.
//!
//! Metrics of the running loop, drawn in the page as they come by server-sent events. A sample is made and encoded once,
//! and sent to every page that looks.
//!
//! ```sh
//! cargo run --release --bin dashboard       # then open http://127.0.0.1:8888
//! curl -N http://127.0.0.1:8888/samples
//! curl -d where=loop http://127.0.0.1:8888/work      # see what that does to the others
//! ```

use std::{
    cell::RefCell,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use examples::page::{self, Asset};
use serde::Serialize;
use web::{
    Application, Exchange, IOLoop, Method, PeriodicCallback, RequestHandler, ServerHandle, StatusCode,
    event_stream::{EncodedEvent, Event},
    run_in_executor,
    sync::broadcast::{self, RecvError},
};

const ASSETS: [Asset; 5] = [
    Asset { path: "/", content: include_str!("../../dashboard/index.html") },
    Asset { path: "/style.css", content: include_str!("../../dashboard/style.css") },
    Asset { path: "/dashboard.js", content: include_str!("../../dashboard/dashboard.js") },
    page::BASE_STYLE,
    page::ICON,
];

const PERIOD: Duration = Duration::from_millis(500);

/// A minute of samples, for pages that have just been opened.
const KEPT: usize = 120;

/// How long `POST /work` computes.
const WORK: Duration = Duration::from_millis(150);

fn main() -> ExitCode {
    let address = examples::cli::listen_address("Metrics of the running loop, live.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let samples = broadcast::Sender::new(KEPT);
    let server = page::add_to(Application::new(), &ASSETS)
        .handler("/samples", Samples { samples: samples.clone() })
        .post("/work", work)
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(2))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    let sampler = PeriodicCallback::new(PERIOD, sampler(samples, server.clone()));
    sampler.start();
    IOLoop::current().start();
    Ok(())
}

/// `GET /samples`: an event for each sample. Its id is the number of the next one, where a page goes on that reconnects.
struct Samples {
    samples: broadcast::Sender<EncodedEvent>,
}

impl RequestHandler for Samples {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let seen = exchange.last_event_id()?.and_then(|id| id.parse().ok());
        let mut samples = self.samples.subscribe_from(seen.unwrap_or_else(|| self.samples.oldest()));
        let mut events = exchange.event_stream()?;
        loop {
            match samples.recv().await {
                Ok(sample) => events.send_encoded(&sample).await?,
                // A page that was away for long, or is slow, goes on with what is there.
                Err(RecvError::Lagged(_)) => {}
                Err(_closed) => return Ok(()),
            }
        }
    }
}

/// `POST /work` computes: with `where=loop` on the loop, where everybody waits for it, else on another thread.
async fn work(exchange: &mut Exchange) -> web::Result<()> {
    if exchange.argument_opt::<String>("where").await?.as_deref() == Some("loop") {
        compute();
    } else if run_in_executor(compute).await.is_err() {
        exchange.set_status(StatusCode::SERVICE_UNAVAILABLE);
    }
    exchange.write_text("done\n");
    Ok(())
}

/// Keeps a processor busy.
fn compute() {
    let began = Instant::now();
    while began.elapsed() < WORK {}
}

/// What the page draws; counts are those since the sample before.
#[derive(Serialize)]
struct Sample {
    requests: u64,
    connections: usize,
    pages: usize,
    polls: u64,
    events: u64,
    waits: u64,
    longest_turn_ms: f64,
    lag_ms: f64,
    tasks: usize,
    timers: usize,
    descriptors: usize,
}

/// Takes a sample at each call, and sends it to all pages.
fn sampler(samples: broadcast::Sender<EncodedEvent>, server: ServerHandle) -> impl FnMut() {
    let ioloop = IOLoop::current();
    let before = Rc::new(RefCell::new((ioloop.metrics(), server.metrics())));
    move || {
        let (now, served) = (ioloop.metrics(), server.metrics());
        let (then, had_served) = before.replace((now.clone(), served.clone()));
        ioloop.reset_peaks();
        let sample = Sample {
            requests: served.requests() - had_served.requests(),
            connections: served.connections,
            pages: samples.waiting(),
            polls: now.polls - then.polls,
            events: now.events - then.events,
            waits: now.waits - then.waits,
            longest_turn_ms: now.longest_turn.as_secs_f64() * 1000.0,
            lag_ms: now.longest_lag.as_secs_f64() * 1000.0,
            tasks: now.live_tasks,
            timers: now.live_timers,
            descriptors: now.descriptors,
        };
        let id = (samples.cursor() + 1).to_string();
        match Event::json(&sample).and_then(|event| event.id(id).encode()) {
            Ok(event) => _ = samples.send(event),
            Err(error) => log::error!("no sample: {error}"),
        }
    }
}
