//! A server that follows its program: when the file is replaced, a new process takes over the socket.

use std::{
    env,
    fs::File,
    io::Write,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    pin::pin,
    process::{Child, Command},
    time::Duration,
};

use httpserver::{
    IOLoop,
    iostream::{
        IOStream,
        ioloop::process::{inherited_fds, spawn_with_fds},
        netutil::{BindOptions, Listener, ToListenAddrs, bind_sockets},
    },
    signal, sleep, timeout,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{application::Application, error::Result};

/// The names of what a server process is given: what it listens on, and a stream for saying that it does.
const SOCKET: &str = "web-debug";
const READY: &str = "web-debug-ready";

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long a new process may take until it accepts.
const START: Duration = Duration::from_secs(30);

/// How long it waits for a client that has connected and sent nothing: its request may be on its way.
const IDLE: Duration = Duration::from_secs(1);

/// How long requests of the old process may go on.
const END: Duration = Duration::from_secs(5);

/// Serves an application in debug mode on `addr`, until Ctrl-C or SIGTERM, and starts the program anew whenever its file
/// changes: after each `cargo build`. No connection is refused meanwhile.
///
/// This process binds the sockets and watches the program. The serving is done by another process of the same program, which
/// runs the same `main` up to this call, and `build` from there. When the file is replaced, one more is started. Once that
/// one accepts, the one before finishes its requests, for 5 seconds at most. If the new one does not start, the old one goes on
/// and the log says so.
///
/// For a program that is deployed, write [`Application::listen`], and restart it as the chapter on deployment shows.
///
/// # Errors
///
/// When the address cannot be bound, when the program cannot be started at all, and what `build` returns.
///
/// # Examples
///
/// ```no_run
/// use web::{Application, Exchange};
///
/// async fn index(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("hello");
///     Ok(())
/// }
///
/// fn main() -> web::Result<()> {
///     web::debug::serve(("127.0.0.1", 8888), || Ok(Application::new().get("/", index)))
/// }
/// ```
#[inline]
pub fn serve(addr: impl ToListenAddrs, build: impl FnOnce() -> Result<Application>) -> Result<()> {
    // Now: it is another path when the file has been replaced.
    let program = env::current_exe()?;
    let (mut sockets, mut ready) = (Vec::new(), None);
    for inherited in inherited_fds()? {
        match inherited.name.as_str() {
            READY => ready = Some(inherited.fd),
            _ => sockets.push(Listener::try_from(inherited.fd)?),
        }
    }
    match ready {
        Some(ready) => work(build()?, sockets, ready),
        None => {
            if sockets.is_empty() {
                sockets.extend(bind_sockets(addr, &BindOptions::new())?.into_iter().map(Listener::from));
            }
            IOLoop::current().run_sync(supervise(program, sockets))
        }
    }
}

/// What a server process does.
#[inline]
fn work(application: Application, sockets: Vec<Listener>, ready: OwnedFd) -> Result<()> {
    let server = application.debug(true).drain_grace(IDLE).into_server().add_sockets(sockets)?;
    server.drain_on_signal(END)?;
    writeln!(File::from(ready), "{}", std::process::id())?;
    IOLoop::current().start();
    Ok(())
}

/// What the first process does.
#[inline]
async fn supervise(program: PathBuf, sockets: Vec<Listener>) -> Result<()> {
    for socket in &sockets {
        if let Ok(Some(address)) = socket.local_addr() {
            log::info!(target: "web", "listening on {address}, in debug mode");
        }
    }
    let mut stop = pin!(signal::shutdown());
    let mut known = Stamp::of(&program);
    let mut current = Some(start(&program, &sockets).await?);
    loop {
        if let Ok(stopped) = timeout(LOOK, stop.as_mut()).await {
            stopped?;
            break;
        }
        if let Some(child) = &mut current
            && let Some(status) = child.try_wait()?
        {
            log::error!(target: "web", "the server has ended, {status}; it starts again when the program changes");
            current = None;
        }
        let stamp = Stamp::of(&program);
        if stamp == known || stamp.is_none() {
            continue;
        }
        // Still being written, perhaps: a linker takes its time.
        sleep(LOOK).await;
        if Stamp::of(&program) != stamp {
            continue;
        }
        known = stamp;
        match start(&program, &sockets).await {
            Ok(successor) => {
                log::info!(target: "web", "the program has changed: process {} has taken over", successor.id());
                if let Some(old) = current.replace(successor) {
                    IOLoop::current().spawn_detached(end(old));
                }
            }
            Err(error) => log::error!(target: "web", "the program has changed, but does not start: {error}"),
        }
    }
    if let Some(current) = current {
        end(current).await;
    }
    Ok(())
}

/// Starts the program and waits until it accepts.
#[inline]
async fn start(program: &Path, sockets: &[Listener]) -> Result<Child> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    let mut fds: Vec<(&dyn std::os::fd::AsFd, &str)> = sockets.iter().map(|socket| (socket as _, SOCKET)).collect();
    fds.push((&theirs, READY));
    let mut child = spawn_with_fds(command, &fds)?;
    // Now the new process alone has it, and its end is the end of the stream.
    drop(theirs);
    let ours = IOStream::from_unix(ours)?;
    match timeout(START, async { ours.read_until(b"\n").max_bytes(100).await }).await {
        Ok(Ok(_)) => Ok(child),
        failure => {
            // It may have ended by itself.
            let _ = child.kill();
            let (status, reason) = (child.wait()?, if failure.is_err() { "it took too long" } else { "it ended" });
            Err(std::io::Error::other(format!("{reason}, {status}")).into())
        }
    }
}

/// Asks a process to finish, and sees to it that it does.
#[inline]
async fn end(mut child: Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    let patience = timeout(END + Duration::from_secs(1), async {
        while matches!(child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    if patience.await.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Which file lies there: another one, or the same with another content.
#[derive(PartialEq)]
struct Stamp(u64, u64, i64, i64);

impl Stamp {
    #[inline]
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = path.metadata().ok()?;
        Some(Stamp(metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
    }
}
