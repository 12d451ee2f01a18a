//! Much data through slow readers takes little memory. Alone in its process, because memory is the process's.

mod common;

use std::{fs, future::poll_fn};

use common::{kinds::every_kind, run, turns};
use iostream::{IOStream, spawn};

const MIB: usize = 1 << 20;

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line that Linux has");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Reads everything, in every way, and now and then does something else for a while. Returns how much it was.
async fn read_slowly(stream: IOStream) -> usize {
    let (mut count, mut buf) = (0, vec![0; 200_000]);
    stream.set_max_buffer_size(300_000);
    for round in 0.. {
        let read = match round % 4 {
            0 => stream.read_some(MIB).await.map(|bytes| bytes.len()),
            1 => stream.read_bytes(200_000).await.map(|bytes| bytes.len()),
            2 => stream.read_into(&mut buf).partial().await,
            _ => stream.read_bytes(10).await.map(|bytes| bytes.len()),
        };
        match read {
            Ok(read) => count += read,
            Err(error) => {
                assert!(error.is_closed(), "{error}");
                break;
            }
        }
        if round % 64 == 0 {
            turns(2).await;
        }
    }
    count + stream.read_until_close().await.unwrap().len()
}

/// Sends about `total` bytes, in every way. Returns how much it was.
async fn write_all(stream: IOStream, total: usize) -> usize {
    let piece = vec![7; MIB];
    let path = std::env::temp_dir().join(format!("bounded_memory-{}", std::process::id()));
    fs::write(&path, &piece).unwrap();
    let file = std::rc::Rc::new(fs::File::open(&path).unwrap());
    fs::remove_file(path).unwrap();
    let mut written = 0;
    while written < total {
        stream.write(&piece[..]).await.unwrap();
        stream.send_file(file.clone(), 0..MIB as u64).await.unwrap();
        let mut taken = 0;
        while taken < MIB {
            taken += poll_fn(|cx| stream.poll_write(cx, &piece[taken..])).await.unwrap();
        }
        written += 3 * MIB;
    }
    stream.shutdown_write().await.unwrap();
    written
}

fn send(total: usize) {
    for (kind, reader, writer) in every_kind() {
        let before = peak();
        // Without the limit of time that a test has.
        let (read, written) = iostream::IOLoop::current().run_sync(async {
            let reader = spawn(read_slowly(reader));
            let written = write_all(writer, total).await;
            (reader.await.unwrap(), written)
        });
        assert_eq!(read, written, "{kind}");
        // The kernel counts roughly: it may be a little less.
        let grown = peak().saturating_sub(before);
        println!("{kind}: {} MiB, and {} KiB of memory more than before", written / MIB, grown / 1024);
        assert!(grown < 8 * MIB, "{kind}: {grown} bytes");
    }
}

#[test]
fn through_a_slow_reader() {
    run(async {});
    send(32 * MIB);
}

#[test]
#[ignore = "takes a while: cargo test --test bounded_memory -- --ignored"]
fn a_gibibyte_through_a_slow_reader() {
    send(1024 * MIB);
}
