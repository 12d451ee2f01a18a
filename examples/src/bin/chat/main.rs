//! Layer: web.
//!
//! Chat rooms by WebSocket, server-sent events and long poll, from the same channels. The page tries one after the other,
//! shows which it has, and goes on where it was when its connection breaks or the server is started again.
//!
//! ```sh
//! cargo run --release --bin chat            # then open http://127.0.0.1:8888 in two tabs
//! curl http://127.0.0.1:8888/rooms
//! curl --json '{"name":"ann","text":"hi","key":"1"}' http://127.0.0.1:8888/rooms/lobby/messages
//! curl http://127.0.0.1:8888/rooms/lobby/messages                       # what was said, and a cursor
//! curl 'http://127.0.0.1:8888/rooms/lobby/messages?cursor=CURSOR'       # waits for news
//! curl -N 'http://127.0.0.1:8888/rooms/lobby/messages?way=events'       # a stream; `way=socket` is a WebSocket
//! ```
//!
//! With a Redis server several instances are one chat:
//!
//! ```sh
//! cargo run --release --bin chat -- --port 8001 --redis redis://127.0.0.1/
//! cargo run --release --bin chat -- --port 8002 --redis redis://127.0.0.1/
//! ```
//!
//! `page.rs` serves the page and `handlers.rs` its requests. `rooms.rs` publishes what is said and who is there, `directory.rs`
//! knows who is where.

// A program exports nothing: `pub` is for its other modules.
#![allow(unreachable_pub)]

mod directory;
mod handlers;
mod page;
mod rooms;

use std::{error::Error, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration};

use web::{
    Application, IOLoop, PeriodicCallback,
    comet::{Hub, HubOptions, broker::RedisOptions},
};

use crate::{
    handlers::{Messages, RoomList},
    rooms::{HISTORY, KEEP, Rooms},
};

/// The most channels there may be: without a bound, a visitor of ever new rooms fills the memory.
const MOST_ROOMS: usize = 1000;

/// How long somebody counts as present without a connection: pages come back sooner.
const GRACE: Duration = Duration::from_secs(3);

/// How often is told who is there: a storm of arrivals is one message.
const TICK: Duration = Duration::from_millis(500);

/// How long answers may take after SIGTERM. Pages are told to go at once, so a short time is enough.
const DRAIN: Duration = Duration::from_secs(2);

const ABOUT: &str = "Chat rooms by WebSocket, server-sent events and long poll.

  --redis URL    the server through which several instances are one chat";

fn main() -> ExitCode {
    let (redis, rest) = examples::cli::take_option(std::env::args_os().skip(1), "--redis");
    let address = examples::cli::listen_address_from(rest, ABOUT);
    examples::cli::exit_code(serve(address, redis))
}

fn serve(address: SocketAddr, redis: Option<String>) -> Result<(), Box<dyn Error>> {
    let options = HubOptions::new().history(HISTORY, 1024 * 1024, KEEP).presence_grace(GRACE).max_channels(MOST_ROOMS);
    let hub = match &redis {
        Some(url) => {
            Hub::with_broker(options, RedisOptions::new(url)?.prefix("chat:").history(HISTORY, KEEP).connect()?)
        }
        None => Hub::with_options(options),
    };
    let rooms = Rc::new(Rooms::new(hub));
    if redis.is_some() {
        rooms.follow_others()?;
    }

    let server = page::add_to(Application::new())
        .handler("/rooms", RoomList::new(rooms.clone()))
        .handler("/rooms/{room}/messages", Messages::new(rooms.clone()))
        .listen(address)?;
    server.drain_on_signal(DRAIN)?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }

    let ticking = rooms.clone();
    let housekeeping = PeriodicCallback::new(TICK, move || ticking.tick());
    housekeeping.start();
    IOLoop::current().start();
    housekeeping.stop();
    IOLoop::current().run_sync(async move { rooms.leave().await });
    Ok(())
}
