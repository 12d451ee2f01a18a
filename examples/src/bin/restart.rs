//! Layer: web.
//!
//! A restart that no client notices. At SIGHUP the program is started anew, from its file as it is then, with the same
//! listening socket. When the new process accepts, this one finishes its requests and ends. If the new one cannot start,
//! this one goes on.
//!
//! ```sh
//! cargo run --release --bin restart
//! while curl -sS http://127.0.0.1:8888/; do :; done &
//! pkill -HUP -x restart
//! ```

use std::{
    env,
    error::Error,
    fs::File,
    io::Write,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    time::Duration,
};

use web::{
    Application, Exchange, IOLoop, ServerHandle, ServerOptions,
    httpserver::iostream::{
        IOStream,
        ioloop::process::{inherited_fds, spawn_with_fds},
        netutil::{BindOptions, Listener, bind_sockets},
    },
    signal, timeout,
};

/// The names of what one process passes to the next: what it listens on, and a stream for saying that it does.
const SOCKET: &str = "http";
const READY: &str = "ready";

/// How long a new process may take until it accepts.
const START: Duration = Duration::from_secs(30);

/// How long requests may go on when the process is to end.
const END: Duration = Duration::from_secs(30);

/// How long a client that has nothing in hand is waited for: its next request may be on its way.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Now: it is another path when the file has been replaced.
    let program = env::current_exe();
    let address = examples::cli::listen_address("Restarts at SIGHUP, without an interruption.");
    examples::cli::exit_code(program.map_err(Box::from).and_then(|program| serve(&program, address)))
}

fn serve(program: &Path, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (socket, ready) = listening_socket(address)?;
    let server = Application::new()
        .get("/", index)
        .server_options(ServerOptions::new().drain_grace(IDLE))
        .into_server()
        .add_sockets([socket.try_clone()?])?;
    server.drain_on_signal(END)?;
    // From here on the signal no longer ends the process.
    let hangups = signal::Signal::new(signal::SIGHUP)?;
    println!("listening on http://{}", server.local_addr());
    IOLoop::current().spawn_detached(restart_on_signal(hangups, program.to_owned(), socket, server));
    if let Some(ready) = ready {
        writeln!(File::from(ready), "{}", process::id())?;
    }
    IOLoop::current().start();
    Ok(())
}

/// From the process before this one, with the stream on which it waits, or of our own.
fn listening_socket(address: SocketAddr) -> Result<(Listener, Option<OwnedFd>), Box<dyn Error>> {
    let (mut socket, mut ready) = (None, None);
    for inherited in inherited_fds()? {
        match inherited.name.as_str() {
            READY => ready = Some(inherited.fd),
            // A service manager names it in its own way.
            _ => socket = Some(Listener::try_from(inherited.fd)?),
        }
    }
    match socket {
        Some(socket) => Ok((socket, ready)),
        None => Ok((bind_sockets(address, &BindOptions::new())?.remove(0).into(), None)),
    }
}

async fn restart_on_signal(mut hangups: signal::Signal, program: PathBuf, socket: Listener, server: ServerHandle) {
    loop {
        hangups.recv().await;
        match start_successor(&program, &socket).await {
            Ok(successor) => break log::info!("process {successor} has taken over"),
            Err(error) => log::error!("no restart: {error}"),
        }
    }
    // The socket goes on in the other process, with all connections that wait in it.
    drop(socket);
    server.stop();
    let report = server.drain(END).await;
    log::info!("{} connections finished, {} cut", report.finished, report.cut);
    IOLoop::current().stop();
}

/// Starts the program and waits until it accepts. Returns what it says: its number.
async fn start_successor(program: &Path, socket: &Listener) -> Result<String, Box<dyn Error>> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    let mut child = spawn_with_fds(command, &[(socket, SOCKET), (&theirs, READY)])?;
    // Now the new process alone has it, and its end is the end of the stream.
    drop(theirs);
    let ours = IOStream::from_unix(ours)?;
    let line = async { ours.read_until(b"\n").max_bytes(100).await };
    match timeout(START, line).await {
        Ok(Ok(line)) => Ok(String::from_utf8_lossy(line.trim_ascii()).into_owned()),
        failure => {
            // It may have ended by itself.
            let _ = child.kill();
            let (status, reason) = (child.wait()?, if failure.is_err() { "it took too long" } else { "it ended" });
            Err(format!("the new process did not start: {reason}, {status}").into())
        }
    }
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(format!("Hello from process {}\n", process::id()));
    Ok(())
}
