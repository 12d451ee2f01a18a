//! The server that is watched.

use std::{error::Error, time::Duration};

use httpserver::{Body, HttpServer, IOLoop, IOStream, Limits, Request, Response, Result, ServerHandle, StatusCode};

use crate::{options::announce, process::raise_descriptor_limit};

/// How long a client may be silent, in all its states: short, so that a run has many that are cut.
const PATIENCE: Duration = Duration::from_secs(2);

/// What `/large` answers with, in bytes.
pub const LARGE: usize = 4 * 1024 * 1024;

/// Serves until it is told to stop by a signal. Prints where it listens.
///
/// # Errors
///
/// When it cannot listen.
pub fn run() -> std::result::Result<(), Box<dyn Error>> {
    raise_descriptor_limit()?;
    let limits = Limits::default()
        .header_timeout(PATIENCE)
        .idle_timeout(PATIENCE)
        .body_timeout(PATIENCE)
        .request_timeout(10 * PATIENCE)
        .write_timeout(PATIENCE)
        .linger_timeout(PATIENCE)
        .linger_time(2 * PATIENCE)
        .max_requests(1_000);
    let server = HttpServer::with_limits(serve, limits).listen(("127.0.0.1", 0))?;
    announce(server.local_addr())?;
    SERVER.set(Some(server));
    IOLoop::current().start();
    Ok(())
}

thread_local! {
    /// Asked for the number of connections. A clone is the same server.
    static SERVER: std::cell::Cell<Option<ServerHandle>> = const { std::cell::Cell::new(None) };
}

async fn serve(mut request: Request) -> Result<Response> {
    match request.path() {
        "/state" => Ok(Response::text(state())),
        "/large" => Ok(Response::text("x".repeat(LARGE))),
        "/stream" => Ok(Response::text(Body::writer(async |mut out| {
            for _ in 0..LARGE / 1_000 {
                out.write(vec![b'x'; 1_000]).await?;
            }
            Ok(())
        }))),
        "/echo" => Ok(Response::bytes(request.bytes().await?)),
        "/count" => {
            let mut length = 0;
            while let Some(piece) = request.body_mut().chunk().await? {
                length += piece.len();
            }
            Ok(Response::text(length.to_string()))
        }
        "/pass" => Ok(Response::text(request.take_body())),
        "/unread" => Ok(Response::text("unread")),
        "/wait" => {
            httpserver::sleep(PATIENCE / 4).await;
            Ok(Response::text("waited"))
        }
        "/panic" => panic!("one that was asked for"),
        "/upgrade" if request.is_upgrade() => {
            let head = Response::new(StatusCode::SWITCHING_PROTOCOLS).with_header("Upgrade", "echo");
            request.upgrade(head, async |stream: IOStream| {
                while let Ok(piece) = stream.read_some(1_000).await {
                    if piece.is_empty() || stream.write(piece).await.is_err() {
                        return;
                    }
                }
            })
        }
        _ => Ok(Response::new(StatusCode::NOT_FOUND)),
    }
}

/// Connections and tasks, separated by a space.
fn state() -> String {
    let server = SERVER.take();
    let connections = server.as_ref().map_or(0, ServerHandle::connections);
    SERVER.set(server);
    format!("{connections} {}", IOLoop::current().metrics().live_tasks)
}
