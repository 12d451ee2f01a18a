//! The PROXY protocol: its parser against the specification, and servers behind a proxy.

mod common;

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use common::{run, turns};
use iostream::{
    ConnectionLimits, Error, IOLoop, IOStream, Peer, ServerHandle, ServerOptions, TcpServer,
    ioloop::VirtualClock,
    memory,
    netutil::{UnixBindOptions, bind_unix_socket},
    proxy_protocol::{Header, ProxyProtocol, Tlv, parse, read_header},
};
use proptest::{collection::vec, option, prelude::*};

fn inet(text: &str) -> Option<Peer> {
    Some(Peer::Inet(text.parse().unwrap()))
}

/// The header that `bytes` are, to the last of them.
fn whole(bytes: &[u8]) -> Header {
    let (header, length) = parse(bytes).unwrap().expect("it is complete");
    assert_eq!(length, bytes.len());
    header
}

fn reason(bytes: &[u8]) -> &'static str {
    match parse(bytes) {
        Err(Error::ProxyHeader { reason }) => reason,
        other => panic!("{other:?} from {}", bytes.escape_ascii()),
    }
}

// The lines of section 2.1 of the specification.
#[test]
fn lines_of_the_specification() {
    let header = whole(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n");
    assert_eq!((&header.source, &header.destination), (&inet("255.255.255.255:65535"), &inet("255.255.255.255:65535")));
    let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY TCP6 {all} {all} 65535 65535\r\n");
    assert_eq!(line.len(), 104);
    let header = whole(line.as_bytes());
    assert_eq!((header.source, header.destination), (inet(&format!("[{all}]:65535")), inet(&format!("[{all}]:65535"))));
    assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Header::local());
    let line = format!("PROXY UNKNOWN {all} {all} 65535 65535\r\n");
    assert_eq!(line.len(), 107);
    assert_eq!(whole(line.as_bytes()), Header::local());
    let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n";
    let (header, length) = parse(line).unwrap().unwrap();
    assert_eq!((header.source, header.destination), (inet("192.168.0.1:56324"), inet("192.168.0.11:443")));
    assert!(line[length..].starts_with(b"GET /"));
}

const SIGNATURE: &[u8; 12] = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";

/// A header of version 2 by hand.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family][..], &length, rest].concat()
}

// The structures of section 2.2.
#[test]
fn binary_headers_of_the_specification() {
    let addresses = [192, 168, 0, 1, 192, 168, 0, 11, 0xDC, 0x04, 0x01, 0xBB];
    for family in [0x11, 0x12] {
        let header = whole(&v2(0x21, family, &addresses));
        assert_eq!((header.source, header.destination), (inet("192.168.0.1:56324"), inet("192.168.0.11:443")));
    }
    let mut addresses = [0; 36];
    addresses[..2].copy_from_slice(&[0x20, 0x01]);
    (addresses[15], addresses[31], addresses[33], addresses[34], addresses[35]) = (1, 2, 80, 0x01, 0xBB);
    for family in [0x21, 0x22] {
        let header = whole(&v2(0x21, family, &addresses));
        assert_eq!((header.source, header.destination), (inet("[2001::1]:80"), inet("[::2]:443")));
    }
    let mut addresses = [0; 216];
    addresses[..5].copy_from_slice(b"/run/");
    // An abstract name, which may have a NUL inside.
    addresses[108..113].copy_from_slice(b"\0a\0bc");
    for family in [0x31, 0x32] {
        let header = whole(&v2(0x21, family, &addresses));
        assert_eq!(header.source, Some(Peer::Unix(Some(PathBuf::from("/run/")))));
        assert_eq!(header.destination, Some(Peer::Unix(Some(PathBuf::from("\0a\0bc")))));
    }
    assert_eq!(whole(&v2(0x21, 0x31, &[0; 216])), Header::proxied(Peer::Unix(None), Peer::Unix(None)));
    assert_eq!(whole(&v2(0x21, 0x31, &[b'x'; 216])).source, Some(Peer::Unix(Some(PathBuf::from("x".repeat(108))))));
    // A proxy that does not know, and one that speaks for itself. What follows is to be skipped, whatever it is.
    for (command, family, rest) in
        [(0x21, 0x00, &b""[..]), (0x21, 0x00, b"\xFF\xFF"), (0x20, 0x00, b""), (0x20, 0x11, b"?"), (0x20, 0xEE, b"?")]
    {
        assert_eq!(whole(&v2(command, family, rest)), Header::local());
    }
}

#[test]
fn values_come_with_the_addresses() {
    let rest = [&[0; 12][..], b"\x02\x00\x0Bexample.com", b"\x04\x00\x00", b"\xEA\x00\x01!"].concat();
    let header = whole(&v2(0x21, 0x11, &rest));
    assert_eq!(header.value(Tlv::AUTHORITY), Some(&b"example.com"[..]));
    assert_eq!(header.tlvs.iter().map(|tlv| tlv.kind).collect::<Vec<_>>(), [Tlv::AUTHORITY, Tlv::NOOP, 0xEA]);
    assert_eq!(header.value(Tlv::ALPN), None);
}

#[test]
fn a_checksum_is_verified() {
    let peer = |text: &str| inet(text).unwrap();
    let header = Header::proxied(peer("192.0.2.1:1"), peer("192.0.2.2:2")).tlv(Tlv::CRC32C, []).tlv(Tlv::NOOP, *b"..");
    let mut bytes = header.to_v2().unwrap();
    assert_eq!(whole(&bytes).value(Tlv::CRC32C).unwrap().len(), 4);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(reason(&bytes), "its checksum does not match");
    assert!(reason(&v2(0x21, 0x11, &[&[0; 12][..], b"\x03\x00\x00"].concat())).contains("checksum"));
}

#[test]
fn what_is_no_header_is_refused_with_the_reason() {
    for (line, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], "neither PROXY nor"),
        (b"PROXY\r\n", "neither PROXY nor"),
        (b"PROXX", "neither PROXY nor"),
        (b"\r\n\r\n\0\r\nQUIX", "neither PROXY nor"),
        (b"\x16\x03\x01", "neither PROXY nor"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "number of fields"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "number of fields"),
        (b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "number of fields"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "number of fields"),
        (b"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "family"),
        (b"PROXY UNKNOWNX 192.0.2.1 192.0.2.2 1 2\r\n", "family"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "address"),
        (b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "address"),
        (b"PROXY TCP4 ::1 192.0.2.2 1 2\r\n", "address"),
        (b"PROXY TCP6 192.0.2.1 ::1 1 2\r\n", "address"),
        (b"PROXY TCP6 ::1%1 ::1 1 2\r\n", "address"),
        (b"PROXY TCP6 [::1] ::1 1 2\r\n", "address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 \xFF 1 2\r\n", "not text"),
        (&[&b"PROXY UNKNOWN"[..], &[b' '; 93], b"\r\n"].concat(), "107 bytes"),
    ] {
        assert!(reason(line).contains(expected), "{}: {}", line.escape_ascii(), reason(line));
    }
    for (header, expected) in [
        (v2(0x11, 0x11, &[0; 12]), "version"),
        (v2(0x31, 0x11, &[0; 12]), "version"),
        (v2(0x22, 0x11, &[0; 12]), "command"),
        (v2(0x21, 0x13, &[0; 12]), "family is unknown"),
        (v2(0x21, 0x01, &[]), "family is unknown"),
        (v2(0x21, 0x41, &[0; 216]), "family is unknown"),
        (v2(0x21, 0x11, &[0; 11]), "too short"),
        (v2(0x21, 0x21, &[0; 35]), "too short"),
        (v2(0x21, 0x31, &[0; 215]), "too short"),
        (v2(0x21, 0x11, &[0; 14]), "cut off"),
        (v2(0x21, 0x11, &[&[0; 12][..], b"\x01\x00\x02x"].concat()), "longer than the header"),
    ] {
        assert!(reason(&header).contains(expected), "{}: {}", header.escape_ascii(), reason(&header));
    }
}

fn any_v4() -> impl Strategy<Value = SocketAddr> {
    any::<(Ipv4Addr, u16)>().prop_map(SocketAddr::from)
}

fn any_v6() -> impl Strategy<Value = SocketAddr> {
    any::<(Ipv6Addr, u16)>().prop_map(SocketAddr::from)
}

/// A path or an abstract name that fits, without the zeros that cannot be told from its end.
fn any_unix() -> impl Strategy<Value = Peer> {
    let name = ("\0?", vec(1u8..=255, 1..100)).prop_map(|(first, rest)| {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec([first.as_bytes(), &rest].concat()))
    });
    option::of(name).prop_map(Peer::Unix)
}

fn any_header() -> impl Strategy<Value = Header> {
    let inet = |addrs: (SocketAddr, SocketAddr)| Header::proxied(Peer::Inet(addrs.0), Peer::Inet(addrs.1));
    let tlv = (any::<u8>(), vec(any::<u8>(), 0..50)).prop_filter("computed", |(kind, _)| *kind != Tlv::CRC32C);
    let header = prop_oneof![
        (any_v4(), any_v4()).prop_map(inet),
        (any_v6(), any_v6()).prop_map(inet),
        (any_unix(), any_unix()).prop_map(|(source, destination)| Header::proxied(source, destination)),
    ];
    let with_values = (header, vec(tlv, 0..5))
        .prop_map(|(header, tlvs)| tlvs.into_iter().fold(header, |header, (kind, value)| header.tlv(kind, value)));
    prop_oneof![10 => with_values, 1 => Just(Header::local())]
}

proptest! {
    #[test]
    fn headers_of_version_2_come_back_as_they_went(header in any_header(), behind in vec(any::<u8>(), 0..20)) {
        let bytes = header.to_v2().unwrap();
        let (parsed, length) = parse(&[&bytes[..], &behind].concat()).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(parsed, header);
    }

    #[test]
    fn lines_come_back_as_they_went(
        (source, destination) in prop_oneof![(any_v4(), any_v4()), (any_v6(), any_v6())],
        behind in vec(any::<u8>(), 0..20),
    ) {
        let header = Header::proxied(Peer::Inet(source), Peer::Inet(destination));
        let line = header.to_v1();
        prop_assert!(line.len() <= 107);
        let (parsed, length) = parse(&[&line[..], &behind].concat()).unwrap().unwrap();
        prop_assert_eq!(length, line.len());
        prop_assert_eq!(parsed, header);
    }

    #[test]
    fn a_part_of_a_header_is_incomplete(header in any_header()) {
        for bytes in [header.to_v1(), header.to_v2().unwrap()] {
            for end in 0..bytes.len() {
                prop_assert!(parse(&bytes[..end]).unwrap().is_none(), "{} of {}", end, bytes.escape_ascii());
            }
        }
    }

    /// Whatever is refused stays refused with more behind it: a server that reads byte by byte decides as another that
    /// gets everything at once.
    #[test]
    fn bytes_decide_alike_however_they_come(
        header in any_header(),
        first in any::<bool>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = if first { header.to_v1() } else { header.to_v2().unwrap() };
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let at_once = parse(&bytes);
        let piecewise = (0..=bytes.len()).map(|end| parse(&bytes[..end])).find(|parsed| !matches!(parsed, Ok(None)));
        match (at_once, piecewise) {
            (Ok(one), Some(Ok(other))) => prop_assert_eq!(one, other),
            (Ok(None), None) | (Err(_), Some(Err(_))) => {}
            (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
        }
    }

    /// For IPv4 there is one way to write an address: what is accepted is what would be sent.
    #[test]
    fn a_line_that_is_accepted_is_in_canonical_form(line in "PROXY TCP4( |  )[0-9.]{7,15} [0-9.]{7,15} [0-9+]{1,6} [0-9]{1,5}\r\n") {
        if let Ok(Some((header, _))) = parse(line.as_bytes()) {
            prop_assert_eq!(header.to_v1(), line.into_bytes());
        }
    }

    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..300), family in any::<u8>(), length in any::<u16>()) {
        let _ = parse(&bytes);
        let _ = parse(&[SIGNATURE, &[0x21, family][..], &length.to_be_bytes(), &bytes].concat());
    }
}

#[test]
fn what_cannot_be_sent_is_unknown_or_an_error() {
    let mixed = Header::proxied(inet("192.0.2.1:1").unwrap(), inet("[::1]:1").unwrap());
    assert_eq!(mixed.to_v1(), b"PROXY UNKNOWN\r\n");
    assert_eq!(whole(&mixed.to_v2().unwrap()), Header::local());
    assert_eq!(Header::proxied(Peer::Unix(None), Peer::Unix(None)).to_v1(), b"PROXY UNKNOWN\r\n");
    let long = |length| mixed_free().tlv(Tlv::UNIQUE_ID, vec![0; length]).to_v2();
    assert!(long(65_536).is_err() && long(65_535).is_err());
    assert_eq!(whole(&long(65_000).unwrap()).tlvs.len(), 1);
}

fn mixed_free() -> Header {
    Header::proxied(inet("192.0.2.1:1").unwrap(), inet("192.0.2.2:1").unwrap())
}

#[test]
fn what_follows_the_header_stays_in_the_stream_however_it_comes() {
    run(async {
        let (server, proxy) = memory::pair(1024);
        let read = iostream::spawn({
            let server = server.clone();
            async move { read_header(&server).await }
        });
        for byte in mixed_free().to_v2().unwrap() {
            proxy.write(vec![byte]).await.unwrap();
            turns(1).await;
        }
        proxy.write("hello\n").await.unwrap();
        assert_eq!(read.await.unwrap().unwrap(), mixed_free());
        assert_eq!(server.read_until(b"\n").await.unwrap(), "hello\n");
        // And of what is no header, everything.
        proxy.write("hello\n").await.unwrap();
        assert!(matches!(read_header(&server).await, Err(Error::ProxyHeader { .. })));
        assert_eq!(server.read_until(b"\n").await.unwrap(), "hello\n");
    });
}

/// A server that says whom it sees, and trusts this machine or nobody.
fn server(trusted: &[&str], limits: ConnectionLimits) -> TcpServer {
    let greet = async |stream: IOStream, peer: Peer| {
        stream.set_half_open(true);
        let line = stream.read_until(b"\n").await?;
        stream.write([format!("{peer}: ").as_bytes(), &line].concat()).await
    };
    let proxies = ProxyProtocol::trusting(trusted.iter().map(|network| network.parse().unwrap()));
    TcpServer::with_peers(greet, ServerOptions::new().limits(limits).proxy_protocol(proxies))
}

async fn ask(server: &ServerHandle, bytes: impl AsRef<[u8]>) -> iostream::Result<String> {
    let stream = IOStream::connect(server.local_addr()).await?;
    stream.write(bytes.as_ref()).await?;
    Ok(String::from_utf8_lossy(&stream.read_until_close().await?).into_owned())
}

#[test]
fn the_handler_sees_the_announced_client() {
    let server = server(&["127.0.0.0/8"], ConnectionLimits::new()).listen(("127.0.0.1", 0)).unwrap();
    run(async {
        let line = "PROXY TCP6 2001:db8::1 ::1 5 6\r\nhello\n";
        assert_eq!(ask(&server, line).await.unwrap(), "[2001:db8::1]:5: hello\n");
        let header = mixed_free().to_v2().unwrap();
        assert_eq!(ask(&server, [&header, &b"hello\n"[..]].concat()).await.unwrap(), "192.0.2.1:1: hello\n");
        let unix = Header::proxied(Peer::Unix(Some("/run/x\n".into())), Peer::Unix(None)).to_v2().unwrap();
        assert_eq!(ask(&server, [&unix, &b"hello\n"[..]].concat()).await.unwrap(), "/run/x\\n: hello\n");
        // The proxy itself.
        for own in [&b"PROXY UNKNOWN\r\nhello\n"[..], &[&v2(0x20, 0, b""), &b"hello\n"[..]].concat()] {
            let answer = ask(&server, own).await.unwrap();
            assert!(answer.starts_with("127.0.0.1:") && answer.ends_with(": hello\n"), "{answer}");
        }
    });
}

#[test]
fn a_proxy_without_a_header_is_refused_and_the_server_goes_on() {
    let server = server(&["127.0.0.1"], ConnectionLimits::new()).listen(("127.0.0.1", 0)).unwrap();
    run(async {
        for garbage in ["hello\n", "PROXY TCP4 nonsense\r\nhello\n"] {
            assert_eq!(ask(&server, garbage).await.unwrap(), "");
        }
        assert_eq!(ask(&server, "PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\nx\n").await.unwrap(), "1.2.3.4:5: x\n");
        while server.connections() > 0 {
            turns(1).await;
        }
    });
}

#[test]
fn a_header_from_anybody_else_is_not_believed() {
    let server = server(&["192.0.2.0/24"], ConnectionLimits::new()).listen(("127.0.0.1", 0)).unwrap();
    run(async {
        let answer = ask(&server, "PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\n").await.unwrap();
        assert!(
            answer.starts_with("127.0.0.1:") && answer.ends_with(": PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\n"),
            "{answer}"
        );
    });
}

#[test]
fn a_proxy_over_a_unix_socket_is_trusted() {
    let path = std::env::temp_dir().join(format!("waterspout-{}-proxy", std::process::id()));
    // Under poll(2) the same test runs a second time, in another process.
    let listener = bind_unix_socket(&path, &UnixBindOptions::new()).unwrap();
    common::choose_poller();
    server(&[], ConnectionLimits::new()).add_sockets([listener]).unwrap();
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    run(async {
        let client = IOStream::from_unix(client).unwrap();
        client.write("PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\nx\n").await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "1.2.3.4:5: x\n");
    });
}

#[test]
fn connections_are_counted_by_the_announced_address() {
    let limits = ConnectionLimits::new().max_connections(3).max_per_address(1);
    let server = server(&["127.0.0.1"], limits).listen(("127.0.0.1", 0)).unwrap();
    run(async {
        let mut held = Vec::new();
        for (client, is_taken) in [("192.0.2.1", true), ("192.0.2.2", true), ("192.0.2.1", false), ("192.0.2.3", true)]
        {
            let stream = IOStream::connect(server.local_addr()).await.unwrap();
            stream.write(format!("PROXY TCP4 {client} 192.0.2.9 5 6\r\n")).await.unwrap();
            if is_taken {
                turns(4).await;
                held.push(stream);
            } else {
                assert_eq!(stream.read_until_close().await.unwrap(), "");
            }
        }
        assert_eq!(server.connections(), 3);
        assert!(held.iter().all(|stream| !stream.is_peer_closed()));
        // The limit in all comes before the header.
        let stream = IOStream::connect(server.local_addr()).await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let server = server(&["127.0.0.1"], ConnectionLimits::new()).listen(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        // A part of it does not help.
        client.write_all(b"PROXY TCP4 ").unwrap();
        while server.connections() == 0 {
            turns(1).await;
        }
        turns(2).await;
        clock.advance(Duration::from_millis(4_999)).await;
        assert_eq!(server.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(server.connections(), 0);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_drain_cuts_a_connection_that_waits_for_its_header() {
    let server = server(&["127.0.0.1"], ConnectionLimits::new()).listen(("127.0.0.1", 0)).unwrap();
    let _client = TcpStream::connect(server.local_addr()).unwrap();
    run(async {
        let report = server.drain(Duration::ZERO).await;
        assert_eq!((report.cut, server.connections()), (1, 0));
    });
}

#[test]
fn a_handler_for_addresses_is_given_the_announced_one() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let handler = {
        let seen = seen.clone();
        async move |_stream: IOStream, peer: SocketAddr| {
            seen.borrow_mut().push(peer.to_string());
            Ok(())
        }
    };
    let proxies = ProxyProtocol::trusting(["127.0.0.1".parse().unwrap()]);
    let server = TcpServer::with_options(handler, ServerOptions::new().proxy_protocol(proxies));
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    run(async {
        ask(&server, "PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\n").await.unwrap();
        ask(&server, Header::proxied(Peer::Unix(None), Peer::Unix(None)).to_v2().unwrap()).await.unwrap();
    });
    assert_eq!(*seen.borrow(), ["1.2.3.4:5", "0.0.0.0:0"]);
}
