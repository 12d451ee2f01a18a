//! What [hyper](https://docs.rs/hyper) asks of a runtime, on the loop: [`IOStream`] is its `Read` and `Write`,
//! [`LoopTimer`] its clock, [`LoopExecutor`] its executor. With the feature `hyper`.
//!
//! For HTTP/1 servers the layer above, `httpserver`, costs less for each request and connection. This is for what it does
//! not have: hyper's client, HTTP/2, and services that were written for hyper.
//!
//! A client that ends its side behind its request is answered only with hyper's `half_close(true)` and with
//! [`set_half_open(true)`](IOStream::set_half_open) on the stream; neither is the default.
//!
//! # Examples
//!
//! A server, and a client that asks it. Services need not be `Send`:
//!
//! ```
//! use std::{cell::Cell, convert::Infallible, io, net::SocketAddr, rc::Rc};
//! use http_body_util::{BodyExt, Empty};
//! use hyper::{Request, Response, body::{Bytes, Incoming}, client, server, service::service_fn};
//! use iostream::{IOLoop, IOStream, TcpServer, hyper::LoopTimer, spawn};
//!
//! let visits = Rc::new(Cell::new(0));
//! let server = TcpServer::new(async move |stream: IOStream, _peer: SocketAddr| -> iostream::Result<()> {
//!     let service = service_fn(async |_request: Request<Incoming>| {
//!         visits.set(visits.get() + 1);
//!         Ok::<_, Infallible>(Response::new(format!("visit {}", visits.get())))
//!     });
//!     let connection = server::conn::http1::Builder::new().timer(LoopTimer).serve_connection(stream, service);
//!     Ok(connection.await.map_err(io::Error::other)?)
//! });
//! let addr = server.listen(("127.0.0.1", 0))?.local_addr();
//!
//! let body = IOLoop::current().run_sync(async {
//!     let stream = IOStream::connect(addr).await?;
//!     let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
//!     spawn(connection);
//!     let request = Request::get("/").header("Host", "localhost").body(Empty::<Bytes>::new())?;
//!     let response = sender.send_request(request).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(response.into_body().collect().await?.to_bytes())
//! })?;
//! assert_eq!(body, "visit 1");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Executor, Read, ReadBufCursor, Sleep, Timer, Write};
use ioloop::{Deadline, IOLoop};
use send_wrapper::SendWrapper;

use super::write::Writer;
use crate::{Error, IOStream, Parsed, marks::Mark};

/// With the feature `hyper`. Bytes are copied once, from the thread's read chunk to hyper's buffer.
impl Read for IOStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = self.poll_read_with(cx, |bytes| {
            let count = bytes.len().min(room);
            buf.put_slice(&bytes[..count]);
            Parsed::Done { consumed: count, value: () }
        });
        Poll::Ready(match ready!(read) {
            // How the end of input is told here: nothing was put.
            Err(Error::Closed { .. }) if self.inner.marks.has(Mark::EOF) => Ok(()),
            result => result.map_err(io::Error::from),
        })
    }
}

/// With the feature `hyper`. A write takes as much as [`poll_write`](IOStream::poll_write) says.
impl Write for IOStream {
    write_methods!(poll_shutdown);

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Runs hyper's background tasks on the current loop of the thread that calls it. They need not be `Send`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoopExecutor;

impl<F> Executor<F> for LoopExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        IOLoop::current().spawn_detached(future);
    }
}

/// Counts hyper's time-outs on the current loop of the thread that calls it, a [virtual](ioloop::VirtualClock) one
/// included. Moving a time-out to later, as hyper does for each request, is a store.
///
/// hyper asks for a `Send` future. This one may be moved to another thread, and panics when it is polled or dropped there.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoopTimer;

impl Timer for LoopTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let deadline = Deadline::new();
        // From now on, and not from the beginning of the turn, in which others may have worked for long. What is beyond all
        // instants never comes.
        if let Some(when) = self.now().checked_add(duration) {
            deadline.set(when);
        }
        Box::pin(LoopSleep(SendWrapper::new(deadline)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let sleep = Deadline::new();
        sleep.set(deadline);
        Box::pin(LoopSleep(SendWrapper::new(sleep)))
    }

    fn now(&self) -> Instant {
        IOLoop::current().time()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<LoopSleep>() {
            Some(sleep) => sleep.0.set(new_deadline),
            // Another timer has made it.
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

struct LoopSleep(SendWrapper<Deadline>);

impl Sleep for LoopSleep {}

impl Future for LoopSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}

impl fmt::Debug for LoopSleep {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopSleep").finish_non_exhaustive()
    }
}
