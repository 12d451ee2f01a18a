//! One connection from its first request to its end: the loop that calls the other parts in turn.
//!
//! The size of the future decides the shape of this file. Every connection has one, idle or not, with room for the
//! largest thing that any of its states holds. So what is rare is boxed, what is used in turn shares its place, and the
//! request and the answer are never moved on their way: each move costs as much as parsing a header line.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use iostream::ioloop::{Printable, panic_message, report_failure, yield_now};
use pin_project_lite::pin_project;

use super::{
    HeadWait, Registration, ServerConn,
    answer::{Next, internal_error},
    ending::Linger,
};
use crate::{Error, IntoResponse, Response, Result, Service, upgrade::UpgradeHandler};

/// One connection from its first request to its end. The whole of it is one future, so that a request costs no task.
///
/// Every idle connection has room for this future at its largest, so nothing big lives across an `await` in it but the
/// service's own future.
#[allow(clippy::manual_async_fn, reason = "an async function has room for each of its arguments twice")]
pub(crate) fn serve<S: Service>(registration: Registration, service: Rc<S>) -> impl Future<Output = ()> {
    async move {
        // Requests that were found in the buffer, one behind the other, without the loop having had its turn.
        let mut in_a_row = 0;
        loop {
            // In a scope of its own, so that the service's future has gone when the body of its answer takes the place.
            let next = {
                let mut turn = pin!(Turn::Waiting { wait: HeadWait::default() });
                // Moved in, or every idle connection would have room for them beside the closure.
                let (conn, service, in_a_row) = (&registration.conn, &service, &mut in_a_row);
                poll_fn(move |cx| {
                    loop {
                        let wait = match turn.as_mut().project() {
                            TurnProjection::Answering { future } => return poll_service(conn, future, cx),
                            TurnProjection::Waiting { wait } => wait,
                        };
                        let request = match ready!(conn.poll_request(cx, wait)) {
                            Ok(Some(request)) => request,
                            Ok(None) => return Poll::Ready(Next::End),
                            // The next request may begin anywhere behind one that was not understood, so none is served
                            // (RFC 9112 2.2).
                            Err(error) => {
                                refuse(conn, error);
                                return Poll::Ready(Next::End);
                            }
                        };
                        *in_a_row = if wait.has_waited() { 0 } else { *in_a_row + 1 };
                        // The request goes from here straight into the service's future: moving it costs more than
                        // parsing its first line.
                        turn.set(Turn::Answering { future: service.call(request) });
                        // The loop polls it at once: an answer that does not wait costs no wake-up.
                    }
                })
                .await
            };
            let goes_on = match next {
                Next::Request => true,
                Next::End => false,
                Next::Body(mut streamed) => poll_fn(|cx| registration.conn.poll_streamed(cx, &mut streamed)).await,
                // Boxed, because every idle connection would have room for it.
                Next::Upgrade(handler) => return Box::pin(upgrade(registration, *handler)).await,
            };
            // RFC 9112 9.3: read the whole body or close. Otherwise the rest would pass for the next request.
            if !goes_on || !registration.conn.is_body_done() && drop_body(&registration.conn).await.is_err() {
                break;
            }
            if in_a_row >= registration.conn.limits().max_pipelined {
                // A client with an endless supply of requests must not keep the others from theirs.
                in_a_row = 0;
                registration.conn.conn.start_flush();
                yield_now().await;
            }
        }
        close(&registration.conn).await;
        // Last, because a drain has ended when all connections are out of the list.
        drop(registration);
    }
}

pin_project! {
    /// What a connection does by turns. One takes the place of the other, since every idle connection has room for it.
    #[project = TurnProjection]
    enum Turn<F> {
        // For the head of a request.
        Waiting { wait: HeadWait },
        // The service's future, which holds the request.
        Answering { #[pin] future: F },
    }
}

/// Polls the service, and encodes its answer when it is ready. A panic is answered, or ends the connection.
fn poll_service(
    conn: &ServerConn,
    future: Pin<&mut impl Future<Output = Response>>,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    let poll = || match future.poll(cx) {
        // The answer is encoded and dropped where it is: it is large, and a move costs as much as a line of its head.
        Poll::Ready(ref mut response) => Poll::Ready(conn.answer(response)),
        Poll::Pending => Poll::Pending,
    };
    // Unwind safe: a future that has panicked is dropped and not polled again. The connection is made of cells, and
    // none of them is borrowed while foreign code runs.
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Poll::Ready(next)) => Poll::Ready(next),
        Ok(Poll::Pending) => {
            // The answers to earlier requests do not wait for this one.
            conn.conn.start_flush();
            // Polled only here. A service that answers at once registers for nothing and stores no waker.
            if conn.poll_cancelled(cx).is_pending() {
                return Poll::Pending;
            }
            conn.break_off();
            Poll::Ready(Next::End)
        }
        Err(payload) => Poll::Ready(conn.answer_panic(&*payload)),
    }
}

impl ServerConn {
    /// A 500 if nothing was sent yet. The connection ends in any case.
    ///
    /// A second answer behind the first would be taken for that to the next request.
    fn answer_panic(&self, payload: &(dyn Any + Send)) -> Next {
        if self.answered.get() {
            self.log_panic(payload, "closing the connection");
            self.break_off();
            return Next::End;
        }
        self.log_panic(payload, "answering 500");
        self.answer(&mut internal_error())
    }

    /// One line for a panic of the user's code. The message is made printable, because it may quote bytes of a client.
    pub(super) fn log_panic(&self, payload: &(dyn Any + Send), consequence: &str) {
        let message = Printable::text(panic_message(payload));
        report_failure("httpserver", format_args!("panic in a service: {message}; {consequence}"));
    }
}

/// What a service left of a body has to be passed to get to the next request.
async fn drop_body(conn: &ServerConn) -> Result<()> {
    poll_fn(|cx| conn.poll_drop_body(cx)).await
}

/// Answers what could not be understood, if there is anybody to answer.
fn refuse(conn: &ServerConn, error: Error) {
    // Any client can cause this at any time, so it is no line in the log of errors.
    log::debug!("refusing a request from {:?}: {}", conn.peer(), Printable::display(&error));
    if error.status().is_some() {
        conn.refuse(&mut error.into_response());
    }
}

/// Hands the stream to another protocol once the head has left, and stays until that is over, so that the server goes on
/// counting the connection and can end it.
async fn upgrade(registration: Registration, handler: UpgradeHandler) {
    let conn = &registration.conn;
    // Sent first: behind its last byte the client may speak the other protocol.
    if poll_fn(|cx| conn.poll_flush(cx)).await.is_ok() {
        let stream = conn.stream();
        // Time-outs of HTTP end here.
        conn.conn.deadline().clear();
        stream.set_write_timeout(Duration::MAX);
        let mut protocol = handler(stream.clone());
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| protocol.as_mut().poll(cx))) {
            Ok(Poll::Ready(())) => Poll::Ready(()),
            Ok(Poll::Pending) => conn.poll_cancelled(cx),
            Err(payload) => {
                conn.log_panic(&*payload, "closing the connection");
                stream.close();
                Poll::Ready(())
            }
        })
        .await;
        // Its destructors run while the connection still counts.
        drop(protocol);
        // What the protocol has written is still sent, by a limit again: nobody is left to watch over it.
        stream.set_write_timeout(conn.limits().write_timeout);
        let _ = poll_fn(|cx| stream.poll_flush(cx)).await;
    }
    conn.stream().close();
    drop(registration);
}

/// Sends what is left, sees to it that the client can read it, and closes.
async fn close(conn: &ServerConn) {
    if poll_fn(|cx| conn.poll_flush(cx)).await.is_ok() && conn.has_unread_input() {
        // Boxed, because it is rare, and every idle connection would have room for it.
        let _ = Box::pin(linger(conn)).await;
    }
    conn.stream().close();
}

/// RFC 9112 9.6: closing with unread input makes TCP send a reset, which can destroy the answer before the client has read
/// it. So end our side, and let the client end its own.
///
/// # Errors
///
/// When the connection has broken meanwhile; there is nothing to wait for then.
async fn linger(conn: &ServerConn) -> Result<()> {
    conn.stream().shutdown_write().await.map_err(Error::Connection)?;
    let mut linger = Linger::default();
    poll_fn(|cx| conn.poll_linger(cx, &mut linger)).await;
    Ok(())
}
