use std::{
    future::poll_fn,
    net::{SocketAddr, TcpStream},
    os::unix::net::{self as unix, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ioloop::{IOLoop, Printable};

use super::{Server, inbox::Inbox};
use crate::{IOStream, Peer, Result, netutil::Listener};

/// A thread's server, as the other threads know it.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) inbox: Arc<Inbox<Message>>,
    /// How many handed over connections it has.
    pub(super) connections: Arc<AtomicUsize>,
}

pub(super) enum Message {
    Serve(Accepted, Place),
    /// End within this time.
    Stop(Duration),
}

/// A connection on its way between threads.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, unix::SocketAddr),
}

/// A connection counts while this lives.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    pub(super) fn new(connections: &Arc<AtomicUsize>) -> Place {
        connections.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(connections))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    #[inline]
    pub(super) fn new() -> Worker {
        Worker { inbox: Arc::new(Inbox::new()), connections: Arc::default() }
    }

    /// The thread's whole life: returns how many connections were cut at its end. `ready` is called when it accepts.
    pub(super) fn run<S: Server>(
        &self,
        sockets: Vec<Listener>,
        setup: &dyn Fn() -> Result<S>,
        ready: impl FnOnce(),
    ) -> Result<usize> {
        // Also after a panic: connections that come too late go elsewhere.
        let _closing = self.inbox.close_at_end();
        let server = setup()?;
        if !sockets.is_empty() {
            server.add_sockets(sockets)?;
        }
        ready();
        let ioloop = IOLoop::current();
        let cut = ioloop.try_run_sync(None, async {
            loop {
                match poll_fn(|cx| self.inbox.poll_recv(cx)).await {
                    Message::Serve(accepted, place) => serve(&server, accepted, place),
                    Message::Stop(limit) => break server.drain(limit).await,
                }
            }
        })?;
        // The tasks and what they hold, the handler included, go before anybody hears of the end.
        drop(server);
        ioloop.close();
        Ok(cut)
    }
}

fn serve(server: &impl Server, accepted: Accepted, place: Place) {
    let (stream, peer) = match accepted {
        Accepted::Tcp(socket, peer) => (IOStream::from_nonblocking(socket), Peer::Inet(peer)),
        Accepted::Unix(socket, peer) => (IOStream::from_accepted_unix(socket), peer.into()),
    };
    match stream {
        Ok(stream) => {
            // As long as the descriptor.
            stream.attach(place);
            server.serve_stream(stream, peer);
        }
        Err(error) => log::error!("taking on the connection of {peer}: {}", Printable::display(&error)),
    }
}
