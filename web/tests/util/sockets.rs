//! A server on a thread of its own, and clients that come by TCP: for tests of that, and for those whose handlers have to run
//! while the test does something else.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc,
    thread::{JoinHandle, sleep},
    time::Duration,
};

use web::{Application, IOLoop};

use super::{Host, Server, Wire};

/// Builds the application on the thread that will serve it: it cannot leave that thread.
pub fn serve(build: impl FnOnce() -> Application + Send + 'static) -> Server {
    let (ready, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let server = build().into_server().listen(("127.0.0.1", 0)).expect("a free port");
        let ioloop = IOLoop::current();
        let addr = server.local_addrs()[0];
        ready.send((addr, ioloop.handle())).expect("the test waits");
        ioloop.start();
        // Drops what still waits, connections and handlers, while the thread is alive.
        ioloop.close();
    });
    let (addr, handle) = started.recv().expect("the application could be built");
    let stop = Box::new(move || {
        let _ = handle.stop();
    });
    Server { host: Box::new(Thread { addr, stop: Some(stop), thread: Some(thread) }) }
}

struct Thread {
    addr: SocketAddr,
    stop: Option<Box<dyn FnOnce()>>,
    thread: Option<JoinHandle<()>>,
}

impl Host for Thread {
    fn connect(&self) -> Box<dyn Wire> {
        let stream = TcpStream::connect(self.addr).expect("the server listens");
        // So that a missing answer fails the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
        Box::new(stream)
    }

    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn run_until(&self, is_done: &mut dyn FnMut() -> bool) {
        for _ in 0..20_000 {
            if is_done() {
                return;
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the loop panicked");
        }
    }
}

impl Wire for TcpStream {
    fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).expect("the server reads");
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut chunk = vec![0; 64 * 1024];
        match self.read(&mut chunk) {
            Ok(count) => chunk.truncate(count),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => chunk.clear(),
            Err(error) => panic!("nothing came: {error}"),
        }
        chunk
    }

    fn shutdown_write(&self) {
        self.shutdown(Shutdown::Write).expect("it is open");
    }
}
