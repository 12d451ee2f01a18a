//! Servers on several threads.

use std::{
    cell::Cell,
    collections::HashMap,
    future::Future,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{linux::net::SocketAddrExt, unix::net::UnixStream},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use iostream::{
    Error, IOLoop, IOStream, Peer, TcpServer,
    netutil::{BindOptions, Listener, UnixBindOptions, bind_sockets, bind_unix_socket},
    threads::{self, Server, Threads},
};

const LONG: Duration = Duration::from_secs(3600);

/// Says the name of its thread at once, and again for every line.
fn setup() -> iostream::Result<TcpServer> {
    // Neither is `Send`.
    let name = Rc::new(thread::current().name().expect("it has one").to_owned());
    let count = Rc::new(Cell::new(0));
    Ok(TcpServer::new(async move |stream: IOStream, _peer| {
        count.set(count.get() + 1);
        stream.write(format!("{name} {}\n", count.get())).await?;
        loop {
            stream.read_until(b"\n").await?;
            stream.write(format!("{name}\n")).await?;
        }
    }))
}

/// A client, and the thread that serves it.
fn connect(addr: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    let line = read_line(&mut stream);
    let name = line.split(' ').next().unwrap().to_owned();
    (stream, name)
}

fn read_line(stream: &mut impl Read) -> String {
    let mut line = String::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|count| count == 1) && byte != *b"\n" {
        line.push(char::from(byte[0]));
    }
    line
}

/// How many clients each thread serves.
fn by_thread(clients: &[(TcpStream, String)]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for (_, name) in clients {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    counts
}

fn end(threads: &Threads) {
    threads.stop(Duration::ZERO);
    threads.join().unwrap();
    for addr in threads.local_addrs() {
        assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn each_thread_serves_its_share_with_state_of_its_own() {
    let threads = threads::serve(2, ("127.0.0.1", 0), setup).unwrap();
    assert_eq!((threads.count(), threads.local_addrs().len()), (2, 1));
    // The kernel's hash decides; that one thread gets all of these is less likely than a broken computer.
    let clients: Vec<_> = (0..128).map(|_| connect(threads.local_addr())).collect();
    let counts = by_thread(&clients);
    assert_eq!(counts.len(), 2, "{counts:?}");
    end(&threads);
}

#[test]
fn a_hand_off_gives_a_connection_to_the_thread_with_the_fewest() {
    let threads = threads::hand_off(3, ("127.0.0.1", 0), setup).unwrap();
    let addr = threads.local_addr();
    let mut clients: Vec<_> = (0..9).map(|_| connect(addr)).collect();
    assert_eq!(by_thread(&clients).into_values().collect::<Vec<_>>(), [3, 3, 3]);
    // One thread loses its connections and gets all the next ones, until it has as many as the others.
    let (leaving, staying): (Vec<_>, Vec<_>) = clients.drain(..).partition(|(_, name)| name == "worker-1");
    for (mut client, _) in leaving {
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    clients = staying;
    for _ in 0..3 {
        // What the client sees of the end comes before the thread has counted it.
        let (client, name) = loop {
            let (client, name) = connect(addr);
            if name == "worker-1" {
                break (client, name);
            }
        };
        clients.push((client, name));
    }
    assert_eq!(by_thread(&clients).into_values().collect::<Vec<_>>(), [3, 3, 3]);
    end(&threads);
}

#[test]
fn a_graceful_end_from_outside_lets_connections_end() {
    for threads in [threads::serve(2, ("127.0.0.1", 0), setup), threads::hand_off(2, ("127.0.0.1", 0), setup)] {
        let threads = threads.unwrap();
        let clients: Vec<_> = (0..8).map(|_| connect(threads.local_addr())).collect();
        threads.stop(LONG);
        threads.stop(Duration::ZERO);
        for (mut client, name) in clients {
            client.write_all(b"still there?\n").unwrap();
            assert_eq!(read_line(&mut client), name);
        }
        assert_eq!(threads.join().unwrap().cut, 0);
        assert_eq!(threads.join().unwrap().cut, 0, "a second time too");
    }
}

#[test]
fn what_is_left_at_the_deadline_is_cut_and_counted() {
    let threads = threads::hand_off(2, ("127.0.0.1", 0), setup).unwrap();
    let clients: Vec<_> = (0..5).map(|_| connect(threads.local_addr())).collect();
    let report = IOLoop::current().run_sync(threads.drain(Duration::ZERO)).unwrap();
    assert_eq!(report.cut, 5);
    for (mut client, _) in clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    threads.join().unwrap();
}

#[test]
fn any_thread_may_end_them_and_several_may_wait() {
    let threads = threads::serve(2, ("127.0.0.1", 0), setup).unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let threads = threads.clone();
            thread::spawn(move || threads.join().unwrap())
        })
        .collect();
    thread::spawn({
        let threads = threads.clone();
        move || threads.stop(LONG)
    });
    for thread in waiting {
        assert_eq!(thread.join().unwrap().cut, 0);
    }
}

#[test]
fn what_a_thread_holds_is_dropped_on_it() {
    /// `Rc` makes it stay where it is.
    struct Held(Arc<AtomicUsize>, thread::ThreadId, Rc<()>);

    impl Drop for Held {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.1);
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    let threads = threads::serve(3, ("127.0.0.1", 0), move || {
        let held = Held(count.clone(), thread::current().id(), Rc::new(()));
        Ok(TcpServer::new(async move |_, _| {
            let _held = &held.2;
            Ok(())
        }))
    });
    end(&threads.unwrap());
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

#[test]
fn a_setup_that_fails_or_panics_is_an_error_and_ends_the_other_threads() {
    for panics in [true, false] {
        let (calls, alive) = (AtomicUsize::new(0), Arc::new(()));
        let held = alive.clone();
        let failing = move || {
            if calls.fetch_add(1, Ordering::SeqCst) == 1 {
                assert!(!panics, "as asked");
                return Err(std::io::Error::other("as asked").into());
            }
            let held = held.clone();
            Ok(TcpServer::new(async move |_, _| {
                let _held = &held;
                Ok(())
            }))
        };
        let error = threads::serve(3, ("127.0.0.1", 0), failing).unwrap_err();
        match &error {
            Error::ThreadPanicked { thread, message } if panics => {
                assert!(thread.starts_with("worker-"));
                assert_eq!(message, "as asked");
            }
            Error::Io(cause) if !panics => assert_eq!(cause.to_string(), "as asked"),
            other => panic!("{other:?}"),
        }
        assert_eq!(Arc::strong_count(&alive), 1, "the threads are gone");
    }
}

#[test]
fn a_thread_whose_loop_is_stopped_is_reported_and_the_others_go_on() {
    // Which thread gets the word depends on the way.
    for hand_off in [true, false] {
        let setup = || {
            Ok(TcpServer::new(async |stream: IOStream, _peer| {
                if stream.read_until(b"\n").await? == "stop\n" {
                    IOLoop::current().stop();
                }
                stream.write("done\n").await
            }))
        };
        let threads = match hand_off {
            true => threads::hand_off(2, ("127.0.0.1", 0), setup),
            false => threads::serve(2, ("127.0.0.1", 0), setup),
        };
        let threads = threads.unwrap();
        let ask = |line: &[u8]| {
            let mut stream = TcpStream::connect(threads.local_addr())?;
            stream.write_all(line)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        let _ = ask(b"stop\n");
        // One that reaches the thread in its last moment is lost; the kernel and the acceptor know of its end soon.
        let answers =
            std::iter::repeat_with(|| ask(b"hello\n")).filter(|answer| matches!(answer, Ok(text) if text == "done\n"));
        assert_eq!(answers.take(10).count(), 10);
        threads.stop(LONG);
        assert!(matches!(threads.join(), Err(Error::Loop(_))));
    }
}

/// Panics on one of its threads, outside of any task.
struct Fragile(TcpServer);

impl Server for Fragile {
    fn add_sockets(&self, sockets: Vec<Listener>) -> iostream::Result<()> {
        Server::add_sockets(&self.0, sockets)
    }

    fn serve_stream(&self, stream: IOStream, peer: Peer) {
        assert_ne!(thread::current().name(), Some("worker-0"), "as asked");
        Server::serve_stream(&self.0, stream, peer);
    }

    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = usize>>> {
        Server::drain(&self.0, limit)
    }
}

#[test]
fn a_thread_that_panics_is_reported_and_gets_no_more_connections() {
    let threads = threads::hand_off(2, ("127.0.0.1", 0), || setup().map(Fragile)).unwrap();
    // The first comes to the thread that panics. It is closed, and so are those that the thread is given on its way out.
    let ask = || read_line(&mut TcpStream::connect(threads.local_addr()).unwrap());
    assert_eq!(ask(), "");
    let mut served_in_a_row = 0;
    while served_in_a_row < 10 {
        match ask() {
            line if line.is_empty() => served_in_a_row = 0,
            line => {
                assert!(line.starts_with("worker-1 "), "{line}");
                served_in_a_row += 1;
            }
        }
    }
    threads.stop(LONG);
    match threads.join().unwrap_err() {
        Error::ThreadPanicked { thread, message } => {
            assert_eq!(thread, "worker-0");
            assert!(message.contains("as asked"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

struct Noted;

impl Wake for Noted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_drain_that_is_polled_often_keeps_its_waker_once() {
    let threads = threads::serve(1, ("127.0.0.1", 0), setup).unwrap();
    let (client, _) = connect(threads.local_addr());
    let noted = Arc::new(Noted);
    let waker = Waker::from(Arc::clone(&noted));
    let mut drain = pin!(threads.drain(LONG));
    for _ in 0..100 {
        assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let kept = Arc::strong_count(&noted);
    assert!(kept <= 3, "{kept}");
    drop(client);
    threads.join().unwrap();
}

#[test]
fn unix_sockets_are_handed_off_beside_tcp() {
    let name = format!("waterspout-{}-threads", std::process::id());
    let unix = bind_unix_socket(format!("\0{name}"), &UnixBindOptions::new()).unwrap();
    let tcp = bind_sockets(("127.0.0.1", 0), &BindOptions::new()).unwrap().remove(0);
    let addr = tcp.local_addr().unwrap();
    let threads = threads::hand_off_sockets::<_, Listener>(2, [unix.into(), tcp.into()], setup).unwrap();
    assert_eq!(threads.local_addrs(), [addr]);
    let mut first =
        UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    let first_name = read_line(&mut first);
    let (_second, second_name) = connect(addr);
    assert_ne!(first_name.split(' ').next(), Some(second_name.as_str()));
    end(&threads);
}

#[test]
fn a_connection_in_the_backlog_is_served_at_the_end() {
    let threads = threads::hand_off(2, ("127.0.0.1", 0), setup).unwrap();
    let clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(threads.local_addr()).unwrap()).collect();
    threads.stop(LONG);
    for mut client in clients {
        assert!(read_line(&mut client).starts_with("worker-"));
    }
    threads.join().unwrap();
}

#[test]
fn an_address_in_use_and_no_socket_at_all_are_errors() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = threads::serve(2, taken.local_addr().unwrap(), setup).unwrap_err();
    assert!(matches!(error, Error::Bind { .. }), "{error:?}");
    assert!(threads::serve_sockets(vec![], setup).is_err());
    assert!(threads::serve_sockets(vec![vec![]], setup).is_err());
    assert!(threads::hand_off_sockets(2, Vec::<TcpListener>::new(), setup).is_err());
}

#[test]
fn zero_threads_are_one_for_each_processor() {
    let threads = threads::serve(0, ("127.0.0.1", 0), setup).unwrap();
    assert_eq!(threads.count(), iostream::ioloop::process::cpu_count());
    end(&threads);
}

#[test]
fn a_handle_is_for_all_threads() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Threads>();
}
