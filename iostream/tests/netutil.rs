//! Listening sockets.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{ErrorKind, Read},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    rc::Rc,
    time::Duration,
};

use common::{NO_NAME, run, turns};
use iostream::{
    Error, IOStream,
    netutil::{
        AcceptHandle, BindOptions, Family, KeepAlive, add_accept_handler, add_unix_accept_handler, bind_sockets,
        is_valid_ip,
    },
};
use nix::sys::socket::{Shutdown, shutdown};
use socket2::{SockFilter, SockRef};

fn bind(addrs: &[SocketAddr]) -> iostream::Result<Vec<TcpListener>> {
    bind_sockets(addrs, &BindOptions::new())
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn port_0_becomes_the_same_port_for_all_addresses() {
    let sockets = bind(&[addr("127.0.0.1:0"), addr("127.0.0.2:0"), addr("127.0.0.3:0")]).unwrap();
    let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    assert_ne!(ports[0], 0);
    assert_eq!(ports, [ports[0]; 3]);
}

#[test]
fn ipv4_and_ipv6_share_a_port() {
    if !has_ipv6() {
        return;
    }
    let sockets = bind(&[addr("0.0.0.0:0"), addr("[::]:0")]).unwrap();
    let [v4, v6] = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr().unwrap());
    assert!(v4.is_ipv4() && v6.is_ipv6());
    assert_eq!(v4.port(), v6.port());
    TcpStream::connect(("127.0.0.1", v4.port())).unwrap();
    TcpStream::connect(("::1", v6.port())).unwrap();
}

#[test]
fn a_name_is_looked_up() {
    let sockets = bind_sockets("localhost:0", &BindOptions::new()).unwrap();
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap().ip().is_loopback()));
}

#[test]
fn an_address_given_twice_is_bound_once() {
    assert_eq!(bind(&[addr("127.0.0.1:0"), addr("127.0.0.1:0")]).unwrap().len(), 1);
}

#[test]
fn an_address_of_another_machine_is_an_error_also_among_others() {
    // From the block for documentation: nobody has it. In a configuration it is a slip of the finger.
    for addrs in [&[addr("203.0.113.1:1234")][..], &[addr("127.0.0.1:0"), addr("203.0.113.1:1234")]] {
        let error = bind(addrs).unwrap_err();
        assert!(matches!(&error, Error::Bind { cause, .. } if cause.kind() == ErrorKind::AddrNotAvailable));
        assert!(error.to_string().contains("203.0.113.1:1234"), "{error}");
    }
    assert!(bind(&[]).is_err());
}

#[test]
fn a_port_alone_and_an_empty_host_are_every_address() {
    let named: [Vec<TcpListener>; 3] = [
        bind_sockets(0, &BindOptions::new()).unwrap(),
        bind_sockets(("", 0), &BindOptions::new()).unwrap(),
        bind_sockets(":0", &BindOptions::new()).unwrap(),
    ];
    for sockets in named {
        assert_eq!(sockets.len(), 1 + usize::from(has_ipv6()));
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap().ip().is_unspecified()));
        TcpStream::connect(("127.0.0.1", sockets[0].local_addr().unwrap().port())).unwrap();
    }
}

#[test]
fn a_name_that_is_none_is_an_error_that_names_it() {
    for name in ["nobody.invalid", "", "127.0.0.1"] {
        let addr = format!("{name}:port");
        let error = bind_sockets(addr.as_str(), &BindOptions::new()).unwrap_err();
        assert!(matches!(&error, Error::Resolve { .. }), "{name}: {error:?}");
    }
    for name in [NO_NAME, "x\0y"] {
        let error = bind_sockets((name, 80), &BindOptions::new()).unwrap_err();
        assert!(matches!(&error, Error::Resolve { host, .. } if host == name), "{error:?}");
    }
    let error = bind_sockets(format!("{NO_NAME}:80"), &BindOptions::new()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("resolving {NO_NAME}:80: ")), "{error}");
}

#[test]
fn one_family_can_be_chosen() {
    let family = |family| bind_sockets("localhost:0", &BindOptions::new().family(family));
    assert!(family(Family::V4).unwrap().iter().all(|socket| socket.local_addr().unwrap().is_ipv4()));
    if has_ipv6() {
        let any = bind_sockets(0, &BindOptions::new().family(Family::V6)).unwrap();
        assert!(any[0].local_addr().unwrap().is_ipv6() && any.len() == 1);
    }
    let error = bind_sockets("127.0.0.1:0", &BindOptions::new().family(Family::V6)).unwrap_err();
    assert!(matches!(&error, Error::Io(cause) if cause.kind() == ErrorKind::AddrNotAvailable), "{error:?}");
}

#[test]
fn an_ipv6_address_may_have_a_zone() {
    // Every machine has the interface 1, the loopback, and hardly one has this address there.
    let error = bind_sockets("[fe80::1%1]:0", &BindOptions::new()).unwrap_err();
    assert!(matches!(&error, Error::Bind { addr: SocketAddr::V6(addr), .. } if addr.scope_id() == 1), "{error:?}");
}

#[test]
fn ip_addresses_are_told_from_everything_else() {
    for valid in ["127.0.0.1", "4.4.4.4", "::1", "2620:0:1cfe:face:b00c::3"] {
        assert!(is_valid_ip(valid), "{valid}");
    }
    let long = "a".repeat(100);
    for invalid in [
        "www.google.com",
        "localhost",
        "4.4.4.4<",
        " 127.0.0.1",
        "127.0.0.1\0",
        "127.1",
        "0177.0.0.1",
        "",
        " ",
        "\n",
        "\0",
        &long,
    ] {
        assert!(!is_valid_ip(invalid), "{invalid:?}");
    }
}

/// What a server has set for the peers of an accepted connection, as the kernel tells it.
fn keep_alive_of(stream: &TcpStream) -> (bool, u64, u64, u32, Option<u128>) {
    let socket = SockRef::from(stream);
    (
        socket.keepalive().unwrap(),
        socket.tcp_keepalive_time().unwrap().as_secs(),
        socket.tcp_keepalive_interval().unwrap().as_secs(),
        socket.tcp_keepalive_retries().unwrap(),
        socket.tcp_user_timeout().unwrap().map(|limit| limit.as_millis()),
    )
}

fn accepted_by(options: &BindOptions) -> TcpStream {
    let sockets = bind_sockets("127.0.0.1:0", options).unwrap();
    let _client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    sockets[0].accept().unwrap().0
}

#[test]
fn accepted_connections_inherit_what_notices_vanished_peers() {
    let by_default = accepted_by(&BindOptions::new());
    assert_eq!(keep_alive_of(&by_default), (true, 60, 10, 3, Some(30_000)));
    let own = KeepAlive::new()
        .idle(Duration::from_millis(1500))
        .interval(Duration::from_millis(1))
        .probes(127)
        .user_timeout(Duration::MAX);
    let (on, idle, interval, probes, user_timeout) = keep_alive_of(&accepted_by(&BindOptions::new().keep_alive(own)));
    assert_eq!((on, idle, interval, probes), (true, 2, 1, 127), "whole seconds, rounded up");
    assert_eq!(user_timeout, Some(i32::MAX as u128));
    let (on, .., user_timeout) = keep_alive_of(&accepted_by(&BindOptions::new().keep_alive(KeepAlive::off())));
    assert!(!on && user_timeout.is_none_or(|limit| limit == 0));
}

#[test]
fn keep_alive_beyond_what_the_kernel_knows_is_an_error_with_the_reason() {
    for (keep_alive, reason) in [
        (KeepAlive::new().idle(Duration::MAX), "32,767 seconds"),
        (KeepAlive::new().interval(Duration::from_secs(32_768)), "32,767 seconds"),
        (KeepAlive::new().probes(0), "127 probes"),
        (KeepAlive::new().probes(128), "127 probes"),
    ] {
        let error = bind_sockets("127.0.0.1:0", &BindOptions::new().keep_alive(keep_alive)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    bind_sockets("127.0.0.1:0", &BindOptions::new().keep_alive(KeepAlive::new().idle(Duration::from_secs(32_767))))
        .unwrap();
}

/// A server's end of a connection whose peer is no longer there: its kernel drops what comes, as a network does that is cut.
fn vanished(keep_alive: KeepAlive) -> (IOStream, TcpStream) {
    common::choose_poller();
    let sockets = bind_sockets("127.0.0.1:0", &BindOptions::new().keep_alive(keep_alive)).unwrap();
    let client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    let stream = IOStream::from_accepted(sockets[0].accept().unwrap().0).unwrap();
    // The program "return 0": no byte of any packet is kept.
    SockRef::from(&client).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
    (stream, client)
}

#[test]
fn a_peer_that_has_vanished_is_noticed_by_what_it_does_not_acknowledge() {
    let (stream, _client) = vanished(KeepAlive::off().user_timeout(Duration::from_millis(100)));
    run(async {
        stream.write("hello?").await.unwrap();
        let error = stream.read_some(1).await.unwrap_err();
        assert!(error.is_closed() && error.is_timed_out(), "{error}");
    });
}

#[test]
fn a_peer_that_has_vanished_is_noticed_although_nothing_is_sent() {
    let second = Duration::from_secs(1);
    let (stream, _client) = vanished(KeepAlive::off().idle(second).interval(second).probes(1));
    run(async {
        let error = stream.read_some(1).await.unwrap_err();
        assert!(error.is_closed() && error.is_timed_out(), "{error}");
    });
}

/// What the documentation says of a peer that answers and does not read.
#[test]
fn the_user_timeout_ends_a_connection_whose_window_stays_closed() {
    let limit = KeepAlive::new().user_timeout(Duration::from_millis(100));
    let sockets = bind_sockets("127.0.0.1:0", &BindOptions::new().keep_alive(limit)).unwrap();
    let _client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    run(async {
        sockets[0].set_nonblocking(false).unwrap();
        let stream = IOStream::from_accepted(sockets[0].accept().unwrap().0).unwrap();
        let error = stream.write(vec![0; 16 << 20]).await.unwrap_err();
        assert!(error.is_closed() && error.is_timed_out(), "{error}");
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let first = bind(&[addr("127.0.0.1:0")]).unwrap();
    let taken = first[0].local_addr().unwrap();
    let error = bind(&[taken]).unwrap_err();
    assert!(matches!(&error, Error::Bind { cause, .. } if cause.kind() == ErrorKind::AddrInUse));
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[test]
fn sockets_may_share_a_port_when_told_to() {
    let options = BindOptions::new().reuse_port(true).backlog(16);
    let first = bind_sockets("127.0.0.1:0", &options).unwrap();
    bind_sockets(first[0].local_addr().unwrap(), &options).unwrap();
}

#[test]
fn the_system_caps_the_backlog() {
    for backlog in [0, 4096, 4097, 65_535, u32::MAX] {
        let sockets = bind_sockets("127.0.0.1:0", &BindOptions::new().backlog(backlog)).unwrap();
        TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    }
}

#[test]
fn every_connection_is_handed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let clients: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let peers = Rc::new(RefCell::new(Vec::new()));
    let accepted = peers.clone();
    let handle = add_accept_handler(listener, move |mut stream, peer| {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "it does not block");
        accepted.borrow_mut().push(peer);
    });
    let handle = handle.unwrap();
    run(async {
        while peers.borrow().len() < clients.len() {
            iostream::yield_now().await;
        }
    });
    let expected: Vec<SocketAddr> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    assert_eq!(*peers.borrow(), expected);
    handle.stop();
}

#[test]
fn stopping_closes_the_socket_at_once_and_twice_is_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let handle = add_accept_handler(listener, |_, _| {}).unwrap();
    handle.stop();
    handle.stop();
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_callback_may_stop_and_is_not_called_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let _clients: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let calls = Rc::new(Cell::new(0));
    let handle: Rc<RefCell<Option<AcceptHandle>>> = Rc::default();
    let (counted, stop) = (calls.clone(), handle.clone());
    let accepting = add_accept_handler(listener, move |_, _| {
        counted.set(counted.get() + 1);
        if counted.get() == 3 {
            stop.borrow().as_ref().unwrap().stop();
        }
    });
    handle.replace(Some(accepting.unwrap()));
    run(async {
        turns(20).await;
    });
    assert_eq!(calls.get(), 3);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_callback_may_drain_and_is_called_for_those_who_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let _clients: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let calls = Rc::new(Cell::new(0));
    let handle: Rc<RefCell<Option<AcceptHandle>>> = Rc::default();
    let (counted, drain) = (calls.clone(), handle.clone());
    let accepting = add_accept_handler(listener, move |_, _| {
        counted.set(counted.get() + 1);
        drain.borrow().as_ref().unwrap().drain();
    });
    handle.replace(Some(accepting.unwrap()));
    run(turns(3));
    assert_eq!(calls.get(), 10);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_callback_that_panics_is_called_for_the_next_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let calls = Rc::new(Cell::new(0));
    let counted = calls.clone();
    let handle = add_accept_handler(listener, move |_, _| {
        counted.set(counted.get() + 1);
        assert!(counted.get() > 1, "a bug");
    })
    .unwrap();
    let _clients = [(); 2].map(|()| TcpStream::connect(addr).unwrap());
    run(turns(5));
    assert_eq!(calls.get(), 2);
    handle.stop();
}

#[test]
fn what_is_no_listener_is_refused_with_the_reason() {
    let refused = |fd: OwnedFd| add_accept_handler(TcpListener::from(fd), |_, _| {}).unwrap_err().to_string();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(refused(datagrams.into()), "not a listening stream socket: its type is not SOCK_STREAM");
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(refused(ours.into()), "not a listening stream socket: it does not listen");
    let error = add_unix_accept_handler(UnixListener::from(OwnedFd::from(theirs)), |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::NotAListener { .. }), "{error:?}");
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(refused(reader.into()), "not a listening stream socket: it is no socket");
}

#[test]
fn a_socket_that_was_shut_down_elsewhere_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let duplicate = listener.try_clone().unwrap();
    let held = Rc::new(());
    let captured = held.clone();
    add_accept_handler(listener, move |_, _| drop(captured.clone())).unwrap();
    shutdown(duplicate.as_raw_fd(), Shutdown::Both).unwrap();
    run(async {
        while Rc::strong_count(&held) > 1 {
            iostream::yield_now().await;
        }
    });
}
