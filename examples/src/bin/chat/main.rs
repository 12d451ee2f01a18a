//! Layer: web.
//!
//! A chat room by long polling: history with a cursor, so that nothing is lost or doubled between
//! two polls; a head count; a page that works without a build step.
//!
//! ```sh
//! cargo run --release --bin chat            # then open http://127.0.0.1:8888 in two tabs
//! curl http://127.0.0.1:8888/rooms
//! curl 'http://127.0.0.1:8888/rooms/lobby/messages?wait=0'
//! curl --json '{"name":"ann","text":"hi","key":"1"}' http://127.0.0.1:8888/rooms/lobby/messages
//! curl 'http://127.0.0.1:8888/rooms/lobby/messages?after=CURSOR&people=0'    # waits for news
//! ```
//!
//! `page.rs` serves the page and `handlers.rs` its requests. `rooms.rs`, `room.rs` and `people.rs`
//! hold the state and know nothing of HTTP.

// A program exports nothing: `pub` is for its other modules.
#![allow(unreachable_pub)]

mod handlers;
mod page;
mod people;
mod room;
mod rooms;

use std::{
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use web::{Application, IOLoop, PeriodicCallback};

use crate::{
    handlers::{Messages, RoomList},
    rooms::Rooms,
};

/// How often rooms remove people who did not come back, and announce the head count.
const TICK: Duration = Duration::from_millis(500);

/// How long polls may go on after SIGTERM. Pages reconnect by themselves, so a short time is enough.
const DRAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A chat room by long polling.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let rooms = Rc::new(Rooms::default());

    let application = page::add_to(Application::new())
        .handler("/rooms", RoomList::new(rooms.clone()))
        .handler("/rooms/{room}/messages", Messages::new(rooms.clone()));
    let server = application.listen(address)?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    server.drain_on_signal(DRAIN)?;

    let housekeeping = PeriodicCallback::new(TICK, move || rooms.tick(Instant::now()));
    housekeeping.start();
    IOLoop::current().start();
    Ok(())
}
