//! Bytes of memory for each idle stream of `iostream`: one that nobody reads, one whose handler waits for a line, and the
//! same over TLS.
//!
//! The clients are a process of their own: one process may not have 20,000 descriptors everywhere.

use std::{
    alloc::System,
    cell::RefCell,
    env, fmt, fs, future, io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    rc::Rc,
    time::Duration,
};

use iostream::{
    IOLoop, IOStream, ServerOptions, TcpServer,
    netutil::add_accept_handler,
    tls::{TlsAcceptor, TlsConnector},
};
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
    println!("an idle stream of a server whose handler waits for a line, with its task: {}", waiting(None)?);
    println!("the same over TLS: {}", waiting(Some(&Certificate::new()?))?);
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
    let figures = each(address, None, || streams.borrow().len());
    accepting.stop();
    figures
}

fn waiting(certificate: Option<&Certificate>) -> io::Result<Figures> {
    let handler = async |stream: IOStream, _peer| {
        let line = stream.read_until(b"\n").await?;
        stream.write(line).await
    };
    let mut options = ServerOptions::new();
    if let Some(certificate) = certificate {
        options = options.tls(certificate.acceptor()?);
    }
    let server = TcpServer::with_options(handler, options).listen(("127.0.0.1", 0))?;
    each(server.local_addr(), certificate, || server.connections())
}

/// A certificate for `localhost` and its key, in files until the program ends.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn new() -> io::Result<Certificate> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
        let certificate = Certificate { folder: env::temp_dir().join(format!("peers-memory-{}", process::id())) };
        fs::create_dir_all(&certificate.folder)?;
        fs::write(certificate.chain(), made.cert.pem())?;
        fs::write(certificate.folder.join("key.pem"), made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    fn chain(&self) -> PathBuf {
        self.folder.join("chain.pem")
    }

    fn acceptor(&self) -> io::Result<TlsAcceptor> {
        Ok(TlsAcceptor::ring().certificate(self.chain(), self.folder.join("key.pem"))?.build()?)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // What is left behind is a test certificate in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
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
fn each(server: SocketAddr, certificate: Option<&Certificate>, connections: impl Fn() -> usize) -> io::Result<Figures> {
    // What the first connection sets up is not measured.
    let first = connect(server, 1, certificate)?;
    wait_for(1, &connections);
    let (region, before) = (Region::new(ALLOCATOR), resident()?);
    let clients = connect(server, COUNT, certificate)?;
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

fn connect(server: SocketAddr, count: usize, certificate: Option<&Certificate>) -> io::Result<Clients> {
    let child = Command::new(env::current_exe()?)
        .args([server.to_string(), count.to_string()])
        .args(certificate.map(Certificate::chain))
        .stdout(Stdio::null())
        .stdin(Stdio::piped())
        .spawn()?;
    Ok(Clients(child))
}

/// Connects as often as asked, by TLS when there is a certificate to be trusted, then waits to be killed.
fn be_clients(server: SocketAddr) -> io::Result<()> {
    let count = env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(COUNT);
    let tls = env::args().nth(3).map(|roots| TlsConnector::ring().roots(roots)?.build()).transpose()?;
    IOLoop::current().run_sync(async {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = IOStream::connect(server).await?;
            if let Some(tls) = &tls {
                stream.start_tls_client(tls, "localhost").await?;
            }
            streams.push(stream);
        }
        future::pending::<()>().await;
        Ok(())
    })
}
