//! Layer: web.
//!
//! A WebSocket that echoes at `/ws`: text and binary messages as they came, of up to 16 MiB, compressed where the client
//! offers that. Made for conformance runs, such as those of Autobahn. `GET /` says what it is.
//!
//! ```sh
//! cargo run --release --bin ws_echo
//! cargo run --release --bin ws_echo -- --no-origin-check  # for pages of any origin
//! ```

use std::{error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

use web::{
    Application, Exchange, IOLoop,
    websocket::{DeflateOptions, WebSocket, WebSocketOptions},
};

const ABOUT: &str = "An echo of WebSockets at /ws: text and binary as they came, up to 16 MiB, permessage-deflate.\n";

fn main() -> ExitCode {
    let (no_origin_check, rest) = take_flag(std::env::args_os().skip(1), "--no-origin-check");
    let about = "An echo of WebSockets.\n\n  --no-origin-check  lets pages of any origin connect";
    let address = examples::cli::listen_address_from(rest, about);
    examples::cli::exit_code(serve(address, no_origin_check))
}

fn serve(address: SocketAddr, no_origin_check: bool) -> Result<(), Box<dyn Error>> {
    let options = WebSocketOptions::new().max_message_size(16 * 1024 * 1024).deflate(DeflateOptions::new());
    let options = if no_origin_check { options.allow_any_origin() } else { options };
    let server = Application::new()
        .get("/", async |exchange: &mut Exchange| {
            exchange.write_text(ABOUT);
            Ok(())
        })
        .get("/ws", async move |exchange: &mut Exchange| exchange.upgrade_websocket(&options, echo))
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

async fn echo(mut socket: WebSocket) -> web::Result<()> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Takes a flag out of the command line.
fn take_flag(arguments: impl Iterator<Item = OsString>, flag: &str) -> (bool, Vec<OsString>) {
    let (flags, rest): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument == flag);
    (!flags.is_empty(), rest)
}
