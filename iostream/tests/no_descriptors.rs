//! A process that has no descriptors left. Alone in its process, because the limit is the process's.

mod common;

use std::{fs::File, io::Write, net::TcpListener};

use common::{pair, run};
use iostream::{Error, IOStream, memory};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[test]
fn connecting_fails_with_the_reason_and_streams_that_are_there_go_on() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, hard).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (stream, mut peer) = pair();
    let exe = File::open("/proc/self/exe").unwrap();
    run(async {
        let used_up: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let error = IOStream::connect(addr).await.unwrap_err();
        let Error::Connect { cause, .. } = &error else { panic!("{error:?}") };
        assert_eq!(cause.raw_os_error(), Some(nix::errno::Errno::EMFILE as i32));
        assert!(error.to_string().contains("too many open files"), "{error}");

        // None of these needs a descriptor.
        stream.write("still here").await.unwrap();
        peer.write_all(b"me too\n").unwrap();
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "me too\n");
        stream.send_file(exe, 0..100).await.unwrap();
        let (one, other) = memory::pair(10);
        one.write("and we").await.unwrap();
        assert_eq!(other.read_bytes(6).await.unwrap(), "and we");

        drop(used_up);
        IOStream::connect(addr).await.unwrap().write("at last").await.unwrap();
    });
}
