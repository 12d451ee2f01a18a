//! One connection to a service, both ends on one loop: pipelined requests in one write, so that the service's own work outweighs the
//! kernel's.

use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use httpserver::iostream;
use httpserver::{IOLoop, IOStream, Service, serve_stream};

/// Requests per write.
pub(crate) const DEPTH: usize = 16;

/// Measures what a service needs for one request over and over.
pub(crate) fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, service: &Rc<impl Service>, request: &[u8]) {
    let client = connect(service.clone());
    let answer_length = run(first_answer(&client, request));
    let batch = request.repeat(DEPTH);
    group.throughput(Throughput::Elements(DEPTH as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            run(async {
                client.write(&batch[..]).await?;
                client.read_bytes(DEPTH * answer_length).await
            })
        });
    });
}

/// The length of an answer; all others are as long, since a date always has 29 bytes.
async fn first_answer(client: &IOStream, request: &[u8]) -> iostream::Result<usize> {
    client.write(request).await?;
    let head = client.read_until(b"\r\n\r\n").await?;
    let text = String::from_utf8_lossy(&head).to_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let body = client.read_until(b"\r\n0\r\n\r\n").await?;
        return Ok(head.len() + body.len());
    }
    let value = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = value.map_or(0, |digits| digits.parse().expect("a number"));
    client.read_bytes(length).await?;
    Ok(head.len() + length)
}

fn connect(service: Rc<impl Service>) -> IOStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let near = TcpStream::connect(address).expect("the listener is there");
    let (far, peer) = listener.accept().expect("somebody has connected");
    let far = IOStream::from_tcp(far).expect("a TCP stream");
    // As the server does for the connections it accepts.
    far.set_nodelay(true).expect("a TCP stream");
    IOLoop::current().spawn_detached(serve_stream(far, Some(peer), service));
    IOStream::from_tcp(near).expect("a TCP stream")
}

fn run<T>(exchange: impl Future<Output = iostream::Result<T>>) -> T {
    IOLoop::current().run_sync(exchange).expect("the connection stays open")
}
