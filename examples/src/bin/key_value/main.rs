//! Layer: iostream.
//!
//! A key-value server that speaks RESP, the protocol of Redis, so that its tools can talk to it: strings with a time to
//! live, in memory.
//!
//! ```sh
//! cargo run --release --bin key_value -- --port 6379
//! redis-cli set greeting hello ex 60
//! redis-cli get greeting
//! redis-benchmark -q -t set,get -P 16
//! ```

// A program exports nothing: `pub` is for its other modules.
#![allow(unreachable_pub)]

mod commands;
mod resp;
mod store;

use std::{
    cell::{Cell, RefCell},
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use iostream::{IOLoop, IOStream, Parsed, PeriodicCallback, TcpServer, signal};

use crate::{
    commands::Next,
    resp::{Parser, ProtocolError},
    store::Store,
};

/// The longest command that is taken, in bytes: the largest value and some more.
const LONGEST_COMMAND: usize = resp::LONGEST_ARGUMENT + 64 * 1024;

/// A client gets its answers so far when they are this long, even though more of its commands have come.
const ANSWERS_AT_ONCE: usize = 64 * 1024;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A key-value server that speaks RESP, the protocol of Redis.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let database = Rc::new(Database::default());
    let server = TcpServer::new({
        let database = Rc::clone(&database);
        async move |stream: IOStream, _peer| database.serve(&stream).await
    });
    let server = server.listen(address)?;
    let end = signal::shutdown();
    println!("listening on {}", server.local_addr());

    // Keys that nobody asks for any more leave by this; those that are asked for are looked at then.
    let sweep = PeriodicCallback::new(Duration::from_secs(1), move || {
        database.store.borrow_mut().remove_expired(IOLoop::current().turn_time());
    });
    sweep.start();
    let ioloop = IOLoop::current();
    ioloop.spawn_detached(async move {
        if let Err(error) = end.await {
            eprintln!("cannot watch signals: {error}");
        }
        server.drain(Duration::ZERO).await;
        IOLoop::current().stop();
    });
    ioloop.start();
    Ok(())
}

/// What all connections share.
#[derive(Default)]
struct Database {
    store: RefCell<Store>,
    /// Where answers are collected. One for all, because a connection needs it only between a read and a write.
    answers: Cell<Vec<u8>>,
    parser: RefCell<Parser>,
}

impl Database {
    /// Serves one connection until it ends: all commands that have come are answered by one write.
    async fn serve(&self, stream: &IOStream) -> iostream::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_max_buffer_size(LONGEST_COMMAND);
        loop {
            let (answers, next) = stream.read_with(|input| self.answer_all(input)).await?;
            // Everybody who has asked is read before anybody is answered, as Redis does it. A client that is answered at once
            // wakes up for each answer, and the server for each of its next questions.
            iostream::yield_now().await;
            let written = stream.write(&answers);
            self.give_back(answers);
            written.await?;
            if let Next::Close = next {
                return Ok(());
            }
        }
    }

    /// Answers the complete commands in `input`, each right from where it was received.
    fn answer_all(&self, input: &[u8]) -> Parsed<(Vec<u8>, Next)> {
        let mut answers = self.answers.take();
        let parser = &mut *self.parser.borrow_mut();
        let store = &mut *self.store.borrow_mut();
        let now = IOLoop::current().turn_time();
        let mut consumed = 0;
        let mut next = Next::GoOn;
        while let Next::GoOn = next
            && answers.len() < ANSWERS_AT_ONCE
        {
            match parser.parse(&input[consumed..]) {
                Ok(Some(command)) => {
                    consumed += command.len();
                    next = commands::run(&command, store, now, &mut answers);
                }
                Ok(None) => break,
                Err(ProtocolError(reason)) => {
                    resp::error(&mut answers, format_args!("ERR Protocol error: {reason}"));
                    next = Next::Close;
                }
            }
        }
        if consumed == 0 && matches!(next, Next::GoOn) {
            self.answers.set(answers);
            return Parsed::Incomplete;
        }
        Parsed::Done { consumed, value: (answers, next) }
    }

    /// Keeps the memory of answers for the next ones, unless they were unusually long.
    fn give_back(&self, mut answers: Vec<u8>) {
        if answers.capacity() <= 2 * ANSWERS_AT_ONCE {
            answers.clear();
            self.answers.set(answers);
        }
    }
}
