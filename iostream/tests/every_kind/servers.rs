//! A server of streams from anywhere.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use iostream::{ConnectionLimits, Error, IOStream, Peer, ServerOptions, TcpServer, spawn};

use super::common::{kinds::both_ways_over_every_kind, turns};

fn peer() -> Peer {
    SocketAddr::from(([192, 0, 2, 1], 1234)).into()
}

/// Sends lines back. "quit" ends the connection, "fail" does with an error.
async fn echo(stream: IOStream, _peer: SocketAddr) -> iostream::Result<()> {
    loop {
        let line = stream.read_until(b"\n").max_bytes(1 << 20).await?;
        match &line[..] {
            b"quit\n" => return Ok(()),
            b"fail\n" => return Err(Error::Unsatisfiable { limit: 0 }),
            _ => drop(stream.write(line)),
        }
    }
}

#[test]
fn a_handler_serves_a_conversation_and_its_end_is_the_streams() {
    for last in ["quit\n", "fail\n"] {
        both_ways_over_every_kind(async |stream, client| {
            let server = TcpServer::new(echo);
            server.serve_stream(stream, peer()).unwrap();
            client.write("hello\n").await.unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "hello\n");
            assert_eq!(server.handle().connections(), 1);
            // Much is still queued when the handler returns.
            let long = [vec![b'x'; 900_000], b"\n".to_vec()].concat();
            drop(client.write(&long));
            drop(client.write(last));
            assert!(client.read_until_close().await.unwrap() == long);
            server.handle().drain(Duration::from_secs(10)).await;
            assert_eq!(server.handle().connections(), 0);
        });
    }
}

#[test]
fn streams_have_the_limits_of_their_server() {
    both_ways_over_every_kind(async |stream, client| {
        let seen = Rc::new(RefCell::new(None));
        let server = TcpServer::with_options(
            {
                let seen = seen.clone();
                async move |stream: IOStream, _peer| {
                    let error = stream.read_bytes(11).await.unwrap_err();
                    *seen.borrow_mut() = Some(error.to_string());
                    Err(error)
                }
            },
            ServerOptions::new().max_buffer_size(10).limits(ConnectionLimits::new().max_connections(1)),
        );
        server.serve_stream(stream, peer()).unwrap();
        // One more is one too many.
        let (other, other_peer) = iostream::memory::pair(10);
        assert!(server.serve_stream(other, peer()).is_err());
        assert_eq!(other_peer.read_until_close().await.unwrap(), "");
        drop(client.write("more than ten"));
        client.closed().await;
        assert!(seen.borrow().as_ref().unwrap().contains("10 bytes"));
    });
}

#[test]
fn a_drain_waits_for_a_handler_and_cuts_it_off_after_its_limit() {
    for limit in [Duration::from_secs(20), Duration::ZERO] {
        both_ways_over_every_kind(async |stream, client| {
            let cut_off = Rc::new(Cell::new(false));
            let server = TcpServer::new({
                let cut_off = cut_off.clone();
                async move |stream: IOStream, _peer| {
                    let line = stream.read_until(b"\n").await;
                    cut_off.set(line.is_err());
                    stream.write(line?).await
                }
            });
            server.serve_stream(stream, peer()).unwrap();
            turns(1).await;
            let drained = spawn(server.handle().drain(limit));
            turns(2).await;
            if limit.is_zero() {
                client.closed().await;
            } else {
                assert!(!drained.is_finished());
                client.write("at last\n").await.unwrap();
                assert_eq!(client.read_until_close().await.unwrap(), "at last\n");
            }
            let report = drained.await.unwrap();
            assert_eq!((report.cut, cut_off.get()), (usize::from(limit.is_zero()), limit.is_zero()));
        });
    }
}
