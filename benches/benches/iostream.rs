//! `iostream` over loopback TCP, both ends on one loop: reading lines and counted bytes, writing, and a round trip.
//!
//! Run with `cargo bench -p benches --bench iostream`.

use std::net::{TcpListener, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iostream::{IOLoop, IOStream, spawn};

criterion_main!(layer);
criterion_group!(layer, read_until, read_bytes, write, round_trip);

fn read_until(c: &mut Criterion) {
    let (sender, receiver) = pair();
    let mut group = c.benchmark_group("read_until");
    for length in [16, 256] {
        let mut lines = vec![b'x'; length * LINES];
        lines.chunks_mut(length).for_each(|line| line[length - 1] = b'\n');
        group.throughput(Throughput::Elements(LINES as u64));
        group.bench_function(format!("{LINES} lines of {length} bytes"), |b| {
            b.iter(|| {
                run(async {
                    let written = sender.write(&lines[..]);
                    for _ in 0..LINES {
                        let line = receiver.read_until(b"\n").await?;
                        assert_eq!(line.len(), length);
                    }
                    written.await
                });
            });
        });
    }
    group.finish();
}

fn read_bytes(c: &mut Criterion) {
    let (sender, receiver) = pair();
    let mut group = c.benchmark_group("read_bytes");
    for (times, length) in [(1000, 64), (16, 4096), (1, 1 << 20)] {
        let data = vec![b'x'; times * length];
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(format!("{times} × {length}"), |b| {
            b.iter(|| {
                run(async {
                    let written = sender.write(&data[..]);
                    for _ in 0..times {
                        let read = receiver.read_bytes(length).await?;
                        assert_eq!(read.len(), length);
                    }
                    written.await
                });
            });
        });
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let (sender, receiver) = pair();
    let mut group = c.benchmark_group("write");
    let small = [b'x'; 100];
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 × 100 bytes, each sent at once", |b| {
        b.iter(|| {
            run(async {
                for _ in 0..100 {
                    sender.write(&small[..]).await?;
                }
                receiver.read_bytes(100 * small.len()).await.map(drop)
            });
        });
    });
    let large = vec![b'x'; 8 << 20];
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("8 MiB through the write queue", |b| {
        b.iter(|| {
            run(async {
                let written = sender.write(&large[..]);
                let mut left = large.len();
                while left > 0 {
                    left -= receiver.read_some(64 << 10).await?.len();
                }
                written.await
            });
        });
    });
    group.finish();
}

fn round_trip(c: &mut Criterion) {
    let (client, server) = pair();
    let echo = spawn(async move {
        while let Ok(data) = server.read_some(4096).await {
            if server.write(data).await.is_err() {
                break;
            }
        }
    });
    c.bench_function("round trip of 64 bytes", |b| {
        b.iter(|| {
            run(async {
                client.write(&[b'x'; 64]).await?;
                client.read_bytes(64).await.map(drop)
            });
        });
    });
    echo.abort();
}

fn run(exchange: impl Future<Output = iostream::Result<()>>) {
    IOLoop::current().run_sync(exchange).expect("both ends are open");
}

fn pair() -> (IOStream, IOStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let near = TcpStream::connect(address).expect("the listener is there");
    let (far, _) = listener.accept().expect("somebody has connected");
    let stream = |tcp| {
        let stream = IOStream::from_tcp(tcp).expect("a TCP stream");
        // Small writes in a row shall measure themselves, not a delayed acknowledgement.
        stream.set_nodelay(true).expect("a TCP stream");
        stream.set_max_buffer_size(16 << 20);
        stream.set_max_write_buffer_size(16 << 20);
        stream
    };
    (stream(near), stream(far))
}

const LINES: usize = 1000;
