//! Layer: httpserver.
//!
//! HTTP without a framework: a service that matches the path itself, collects a body, streams an
//! answer, and notices a client that goes away.
//!
//! ```sh
//! cargo run --release --bin hello_service
//! curl http://127.0.0.1:8888/
//! curl http://127.0.0.1:8888/headers
//! curl -d 'some text' http://127.0.0.1:8888/shout
//! curl -N http://127.0.0.1:8888/count
//! curl --data-binary @Cargo.lock http://127.0.0.1:8888/size
//! ```

use std::{error::Error, fmt::Write, net::SocketAddr, process::ExitCode, time::Duration};

use httpserver::{Body, BodyWriter, HttpServer, IOLoop, Limits, Method, Request, Response, StatusCode, sleep};

fn main() -> ExitCode {
    let address = examples::cli::listen_address("HTTP without a framework.");
    examples::cli::exit_code(listen(address))
}

fn listen(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let server = HttpServer::with_limits(serve, limits());
    let server = server.listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    println!("listening on http://{}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

fn limits() -> Limits {
    Limits::default().header_timeout(Duration::from_secs(5)).max_collected_body(64 * 1024)
}

async fn serve(request: Request) -> httpserver::Result<Response> {
    log::info!("{} {}", request.method(), request.target());
    match (request.method(), request.path()) {
        (&Method::GET, "/") => Ok(Response::text("Hello\n")),
        (&Method::GET, "/headers") => Ok(headers(&request)),
        (&Method::GET, "/count") => Ok(Response::text(Body::writer(count))),
        (&Method::POST, "/shout") => shout(request).await,
        (&Method::POST, "/size") => size(request).await,
        _ => Ok(Response::text("There is nothing here\n").with_status(StatusCode::NOT_FOUND)),
    }
}

/// The header lines as they were received.
fn headers(request: &Request) -> Response {
    let mut text = String::new();
    for (name, value) in request.headers().iter() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value));
    }
    Response::text(text)
}

/// Collects the body, up to the limit: the error of a larger one is answered with 413.
async fn shout(mut request: Request) -> httpserver::Result<Response> {
    let body = request.bytes().await?;
    Ok(Response::text(String::from_utf8_lossy(&body).to_uppercase()))
}

/// Reads a body of any size, holding one chunk at a time.
async fn size(mut request: Request) -> httpserver::Result<Response> {
    let mut size = 0;
    while let Some(chunk) = request.body_mut().chunk().await? {
        size += chunk.len();
    }
    Ok(Response::text(format!("{size} bytes\n")))
}

/// An answer that takes a while. A write fails once the client has gone, which ends the count.
async fn count(mut out: BodyWriter) -> httpserver::Result<()> {
    for number in 1..=5 {
        out.write(format!("{number}\n")).await?;
        sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}
