//! Layer: ioloop.
//!
//! Pre-forking workers: the listener is bound once, each worker has a loop of its own and takes connections from it. A
//! worker that dies is started again; Ctrl-C or SIGTERM to the first process ends all. The listener may also come from a
//! service manager (socket activation).
//!
//! ```sh
//! cargo run --release --bin prefork
//! nc localhost 8888
//! systemd-socket-activate -l 8888 target/release/prefork
//! ```

use std::{
    error::Error,
    io::{self, ErrorKind, Write},
    net::{SocketAddr, TcpListener},
    process::{self, ExitCode},
    rc::Rc,
};

use ioloop::{
    IOLoop, Interest,
    process::{cpu_count, fork_processes, inherited_fds},
    signal,
};

/// After this many failures in all, workers are not started again: the fault is then in the program.
const MAX_RESTARTS: usize = 100;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("Greets by lines, from several processes.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = listener(address)?;
    println!("listening on {}", listener.local_addr()?);

    // The first process stays in this call until everything ends; only workers return from it.
    let worker = fork_processes(cpu_count().max(2), MAX_RESTARTS)?;

    let ioloop = IOLoop::current();
    let listener = Rc::new(listener);
    ioloop.add_handler(listener.clone(), Interest::READABLE, move |_| {
        if let Err(error) = greet(&listener, worker) {
            log::warn!("worker {worker}: {error}");
        }
    })?;
    let signal = ioloop.run_sync(signal::shutdown())?;
    log::info!("worker {worker} got signal {signal}");
    Ok(())
}

/// The listener passed on by a service manager, or one of our own. Non-blocking: a connection wakes all workers, and
/// those that are too late must not block in `accept`.
fn listener(address: SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    if let Some(inherited) = inherited_fds()?.into_iter().next() {
        return Ok(TcpListener::from(inherited.fd));
    }
    let listener = TcpListener::bind(address).map_err(|error| format!("listening on {address}: {error}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn greet(listener: &TcpListener, worker: usize) -> io::Result<()> {
    let mut stream = match listener.accept() {
        Ok((stream, _peer)) => stream,
        // Another worker was faster.
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    // One line always fits into the socket's buffer, so this does not block.
    writeln!(stream, "hello from worker {worker}, process {}", process::id())
}
