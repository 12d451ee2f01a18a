//! The server that is measured at the level of `httpserver`: one service, a `match` over paths, no framework.
//!
//! `GET /plaintext`, `GET /json`, `POST /echo` up to 16 MiB, `GET /user/{id}`; `GET /park` waits until `GET /release`.
//! `GET /allocations` and `GET /sizes` tell what the program knows of its own memory.
//!
//! Run with `cargo run --release -p benches --bin bench-http -- --port 8080`.

use std::{error::Error, sync::OnceLock, time::Duration};

use benches::{
    counting_allocator::CountingAllocator,
    gate::Gate,
    message::{ECHO_LIMIT, HELLO, Message, Sizes},
    options::{ServerOptions, announce},
    process::raise_descriptor_limit,
};
use httpserver::{HttpServer, IOLoop, Method, Reply, Request, Response, Service, StatusCode};
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Known once the server exists, told by a service that is a part of it.
static SIZES: OnceLock<Sizes> = OnceLock::new();

fn main() -> Result<(), Box<dyn Error>> {
    let options = ServerOptions::from_env();
    if options.count_allocations {
        ALLOCATOR.enable();
    }
    raise_descriptor_limit()?;
    let server = HttpServer::new(Bench::default());
    SIZES.get_or_init(|| Sizes { connection_future: server.connection_future_size() });
    let server = server.listen(options.socket_addr())?;
    announce(server.local_addr())?;
    server.drain_on_signal(Duration::from_secs(5))?;
    IOLoop::current().start();
    Ok(())
}

#[derive(Default)]
struct Bench {
    parked: Gate,
}

impl Service for Bench {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        let response = match (request.method(), request.path_bytes()) {
            (&Method::GET, b"/plaintext") => Response::text(HELLO),
            (&Method::GET, b"/json") => json(&Message { message: HELLO }),
            (&Method::POST, b"/echo") => return Reply::later(echo(request)),
            (&Method::GET, b"/park") => return Reply::later(self.park(request)),
            (&Method::GET, b"/release") => Response::text(format!("released {}", self.parked.open())),
            (&Method::GET, b"/allocations") => json(&ALLOCATOR.counters()),
            (&Method::GET, b"/sizes") => json(&SIZES.get()),
            (&Method::GET, _) => match request.path().strip_prefix("/user/") {
                Some(id) => Response::text(id.to_owned()),
                None => Response::new(StatusCode::NOT_FOUND),
            },
            _ => Response::new(StatusCode::NOT_FOUND),
        };
        Reply::now(response)
    }
}

impl Bench {
    #[expect(clippy::manual_async_fn, reason = "an async function would have room for the request twice")]
    fn park(&self, request: Request) -> impl Future<Output = Response> {
        async move {
            request.cancel_on_disconnect();
            self.parked.wait().await;
            Response::text("released")
        }
    }
}

async fn echo(mut request: Request) -> Response {
    match request.bytes_limited(ECHO_LIMIT).await {
        Ok(body) => Response::bytes(body),
        Err(error) => Response::new(error.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => Response::json_bytes(text),
        Err(_) => Response::new(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
