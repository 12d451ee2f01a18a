//! Listening sockets.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    rc::Rc,
};

use common::{run, turns};
use iostream::{
    Error,
    netutil::{AcceptHandle, BindOptions, add_accept_handler, bind_sockets},
};
use nix::sys::socket::{Shutdown, shutdown};

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
fn an_address_of_another_machine_is_skipped() {
    // From the block for documentation: nobody has it.
    let sockets = bind(&[addr("203.0.113.1:0"), addr("127.0.0.1:0")]).unwrap();
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].local_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
}

#[test]
fn only_addresses_of_other_machines_are_an_error() {
    let error = bind(&[addr("203.0.113.1:1234")]).unwrap_err();
    assert!(matches!(&error, Error::Bind { cause, .. } if cause.kind() == ErrorKind::AddrNotAvailable));
    assert!(error.to_string().contains("203.0.113.1:1234"), "{error}");
    assert!(bind(&[]).is_err());
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
    let handle = add_accept_handler(listener, move |_, peer| accepted.borrow_mut().push(peer)).unwrap();
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
