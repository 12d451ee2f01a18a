//! Bytes of memory for each idle stream of `iostream`: one that nobody reads, and one whose handler waits for a line.
//!
//! The clients are a process of their own: one process may not have 20,000 descriptors everywhere.

use std::{
    alloc::System,
    cell::RefCell,
    env, fmt, fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::Duration,
};

use iostream::{IOLoop, IOStream, TcpServer, netutil::add_accept_handler};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 10_000;

fn main() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    match env::args().nth(1) {
        Some(server) => be_clients(server.parse().map_err(io::Error::other)?),
        None => measure(),
    }
}

fn measure() -> io::Result<()> {
    println!("an idle stream by itself: {}", bare()?);
    println!("an idle stream of a server whose handler waits for a line, with its task: {}", waiting()?);
    Ok(())
}

fn bare() -> io::Result<Figures> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let streams = Rc::new(RefCell::new(Vec::with_capacity(COUNT + 1)));
    let kept = Rc::clone(&streams);
    let accepting = add_accept_handler(listener, move |socket, _peer| {
        kept.borrow_mut().extend(IOStream::from_accepted(socket));
    })?;
    let figures = each(address, || streams.borrow().len());
    accepting.stop();
    figures
}

fn waiting() -> io::Result<Figures> {
    let server = TcpServer::new(async |stream: IOStream, _peer| {
        let line = stream.read_until(b"\n").await?;
        stream.write(line).await
    });
    let server = server.listen(("127.0.0.1", 0))?;
    each(server.local_addr(), || server.connections())
}

struct Figures {
    heap: f64,
    resident: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} bytes live on the heap, {:.0} bytes resident", self.heap, self.resident)
    }
}

/// What each of `COUNT` connections takes.
fn each(server: SocketAddr, connections: impl Fn() -> usize) -> io::Result<Figures> {
    // What the first connection sets up is not measured.
    let first = connect(server, 1)?;
    wait_for(1, &connections);
    let (region, before) = (Region::new(ALLOCATOR), resident()?);
    let clients = connect(server, COUNT)?;
    wait_for(COUNT + 1, &connections);
    let change = region.change();
    let heap = (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / COUNT as f64;
    let resident = (resident()? as f64 - before as f64) / COUNT as f64;
    drop((first, clients));
    Ok(Figures { heap, resident })
}

/// Runs the loop until all are there and wait.
fn wait_for(count: usize, connections: &impl Fn() -> usize) {
    IOLoop::current().run_sync(async {
        while connections() < count {
            iostream::sleep(Duration::from_millis(10)).await;
        }
        iostream::sleep(Duration::from_millis(200)).await;
    });
}

/// Bytes of resident memory.
fn resident() -> io::Result<usize> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    Ok(pages.ok_or(io::ErrorKind::InvalidData)? * 4096)
}

/// Connections from a process of their own, closed with its end.
struct Clients(Child);

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(server: SocketAddr, count: usize) -> io::Result<Clients> {
    let child = Command::new(env::current_exe()?)
        .args([server.to_string(), count.to_string()])
        .stdout(Stdio::null())
        .stdin(Stdio::piped())
        .spawn()?;
    Ok(Clients(child))
}

/// Connects as often as asked, then waits to be killed.
fn be_clients(server: SocketAddr) -> io::Result<()> {
    let count = env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(COUNT);
    let streams = (0..count).map(|_| TcpStream::connect(server)).collect::<io::Result<Vec<_>>>()?;
    BufReader::new(io::stdin()).read_line(&mut String::new())?;
    drop(streams);
    Ok(())
}
