//! Connecting to hosts by name.

mod common;

use std::{
    cell::RefCell,
    future::{pending, ready},
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use common::{run, turns};
use iostream::{
    Error, IOLoop, IOStream, ServerHandle, TcpClient, TcpServer,
    ioloop::VirtualClock,
    netutil::Family,
    resolver::{OverrideResolver, ResolveFuture, Resolver, ThreadedResolver},
};

/// A server that says whom it sees.
fn server(ip: IpAddr) -> ServerHandle {
    common::choose_poller();
    let greet = async |stream: IOStream, peer: SocketAddr| stream.write(format!("{peer}\n")).await;
    TcpServer::new(greet).listen(SocketAddr::new(ip, 0)).unwrap()
}

fn on_ipv4() -> ServerHandle {
    server(Ipv4Addr::LOCALHOST.into())
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// An address where nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Whom the server sees.
async fn seen(stream: IOStream) -> SocketAddr {
    let line = stream.read_until(b"\n").await.unwrap();
    String::from_utf8_lossy(&line).trim_end().parse().unwrap()
}

/// Always these addresses.
struct Fixed(Vec<SocketAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _host: &str, _port: u16, _family: Family) -> ResolveFuture {
        Box::pin(ready(Ok(self.0.clone())))
    }
}

#[test]
fn a_host_is_reached_by_name_and_by_address() {
    let port = on_ipv4().local_addr().port();
    run(async {
        for host in ["localhost", "127.0.0.1"] {
            let stream = TcpClient::new().family(Family::V4).connect(host, port).await.unwrap();
            assert!(seen(stream).await.ip().is_loopback());
        }
    });
}

#[test]
fn a_host_with_both_families_is_reached_by_the_one_that_is_served() {
    if !has_ipv6() {
        return;
    }
    for (ours, other) in [
        (Ipv4Addr::LOCALHOST.into(), IpAddr::from(Ipv6Addr::LOCALHOST)),
        (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
    ] {
        let addr = server(ours).local_addr();
        for order in [[ours, other], [other, ours]] {
            let client = TcpClient::new().resolver(Fixed(order.map(|ip| SocketAddr::new(ip, addr.port())).to_vec()));
            run(async {
                assert_eq!(client.connect("both", 80).await.unwrap().peer_addr().unwrap(), addr);
            });
        }
    }
}

#[test]
fn only_the_wanted_family_is_tried() {
    let port = on_ipv4().local_addr().port();
    run(async {
        let error = TcpClient::new().family(Family::V6).connect("127.0.0.1", port).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
    });
}

#[test]
fn a_refused_connection_names_the_host_and_each_address() {
    let (one, other) = (closed_port(), SocketAddr::from(([127, 0, 0, 2], closed_port().port())));
    run(async {
        let client = TcpClient::new().resolver(Fixed(vec![one, other]));
        let error = client.connect("service.example", 80).await.unwrap_err();
        let expected = format!(
            "no connection to service.example port 80: connecting to {one}: connection refused; connecting to {other}: connection refused"
        );
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_timed_out());
        let Error::ConnectHost(failure) = &error else { panic!("{error:?}") };
        assert_eq!((failure.attempts.len(), failure.limit), (2, None));
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_name_without_an_address_is_an_error_of_the_resolver() {
    run(async {
        for host in [common::NO_NAME, ""] {
            let error = TcpClient::new().connect(host, 80).await.unwrap_err();
            assert!(matches!(&error, Error::Resolve { host: named, .. } if named == host), "{error:?}");
        }
        let error = TcpClient::new().resolver(Fixed(vec![])).connect("empty.example", 80).await.unwrap_err();
        assert!(error.to_string().starts_with("resolving empty.example: "), "{error}");
    });
}

#[test]
fn overrides_are_followed() {
    let addr = on_ipv4().local_addr();
    let resolver =
        OverrideResolver::new(ThreadedResolver).host_port(("www.example.com", 80), ("127.0.0.1", addr.port()));
    run(async {
        let stream = TcpClient::new().resolver(resolver).connect("www.example.com", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
    });
}

#[test]
fn the_source_address_and_port_can_be_chosen() {
    let addr = on_ipv4().local_addr();
    run(async {
        let from = IpAddr::from([127, 0, 0, 3]);
        let stream = TcpClient::new().source_ip(from).connect("127.0.0.1", addr.port()).await.unwrap();
        assert_eq!(seen(stream).await.ip(), from);
        // Two connections at a time from one port, which go to different servers.
        let port = closed_port().port();
        let mut streams = Vec::new();
        for addr in [addr, on_ipv4().local_addr()] {
            let client = TcpClient::new().source_port(port).resolver(Fixed(vec![addr]));
            streams.push(client.connect("x", 80).await.unwrap());
        }
        for stream in streams {
            assert_eq!(seen(stream).await.port(), port);
        }
    });
}

#[test]
fn a_source_that_cannot_be_had_is_an_error_that_names_it() {
    let addr = on_ipv4().local_addr();
    run(async {
        let client = TcpClient::new().source_ip([203, 0, 113, 1].into());
        let error = client.connect("127.0.0.1", addr.port()).await.unwrap_err();
        assert!(error.to_string().contains("from 203.0.113.1:0"), "{error}");
        // Of the other family than the only address.
        let client = TcpClient::new().source_ip(Ipv6Addr::LOCALHOST.into());
        assert!(matches!(client.connect("127.0.0.1", addr.port()).await, Err(Error::Resolve { .. })));
        let error = client.family(Family::V4).connect("127.0.0.1", addr.port()).await.unwrap_err();
        assert!(matches!(&error, Error::Io(cause) if cause.kind() == ErrorKind::InvalidInput), "{error:?}");
        // Taken by a server that listens.
        let client = TcpClient::new().source_ip(Ipv4Addr::LOCALHOST.into()).source_port(addr.port());
        let error = client.connect("127.0.0.1", addr.port()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("from {addr}")), "{error}");
    });
}

#[test]
fn streams_have_the_limits_of_their_client() {
    let addr = on_ipv4().local_addr();
    run(async {
        let client = TcpClient::new().max_buffer_size(5).max_write_buffer_size(0);
        let stream = client.connect("127.0.0.1", addr.port()).await.unwrap();
        assert!(matches!(stream.write(vec![0; 16 << 20]).await, Err(Error::WriteBufferFull { limit: 0 })));
        assert!(matches!(stream.read_bytes(6).await, Err(Error::BufferFull { limit: 5 })));
    });
}

/// Never answers, and says when it is dropped.
struct Silent(Rc<RefCell<u32>>);

impl Resolver for Silent {
    fn resolve(&self, _host: &str, _port: u16, _family: Family) -> ResolveFuture {
        struct Dropped(Rc<RefCell<u32>>);

        impl Drop for Dropped {
            fn drop(&mut self) {
                *self.0.borrow_mut() += 1;
            }
        }

        let guard = Dropped(self.0.clone());
        Box::pin(async move {
            let _guard = guard;
            pending().await
        })
    }
}

#[test]
fn the_time_limit_counts_from_the_lookup_on_and_names_the_host() {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let dropped = Rc::default();
        let client = TcpClient::new().resolver(Silent(Rc::clone(&dropped)));
        let attempt = iostream::spawn(async move { client.connect("slow.example", 80).await });
        turns(2).await;
        clock.advance(TcpClient::DEFAULT_TIMEOUT - Duration::from_millis(1)).await;
        assert!(!attempt.is_finished());
        clock.advance(Duration::from_millis(1)).await;
        let error = attempt.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "no connection to slow.example port 80 within 20s");
        assert!(error.is_timed_out());
        assert_eq!(*dropped.borrow(), 1);

        let client = TcpClient::new().resolver(Silent(Rc::clone(&dropped))).no_timeout();
        let attempt = iostream::spawn(async move { client.connect("slow.example", 80).await });
        turns(2).await;
        clock.advance(Duration::from_secs(1_000_000)).await;
        assert!(!attempt.is_finished());
    });
}

#[test]
fn an_address_that_does_not_answer_costs_a_quarter_of_a_second_and_is_given_up() {
    // A queue that is full drops what comes; the kernel takes one connection more than it was asked to.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let _waiting = std::net::TcpStream::connect(silent).unwrap();

    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let greet = async |stream: IOStream, peer: SocketAddr| stream.write(format!("{peer}\n")).await;
        let addr = TcpServer::new(greet).listen(("127.0.0.1", 0)).unwrap().local_addr();
        let client = TcpClient::new().resolver(Fixed(vec![silent, addr]));
        let attempt = iostream::spawn(async move { client.connect("half.example", 80).await });
        turns(3).await;
        clock.advance(Duration::from_millis(249)).await;
        turns(3).await;
        assert!(!attempt.is_finished());
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(attempt.await.unwrap().unwrap().peer_addr().unwrap(), addr);
    });
}
