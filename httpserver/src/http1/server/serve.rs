//! One connection from its first request to its end: the loop that calls the other parts in turn.
//!
//! The size of the future decides the shape of this file. Every connection has one, idle or not, with room for the
//! largest thing that any of its states holds. So what is rare is boxed, what is used in turn shares its place, and the
//! request and the answer are never moved on their way: each move costs as much as parsing a header line.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    Flag, HeadWait, Registration, ServerConn, answer::Next, as_peer, contained, ending::Linger, streamed::Streamed,
};
use crate::{
    Error, IntoResponse, Request, Response, Result, Service, http1::request_head::RequestHead, latency::Stamp,
    upgrade::UpgradeHandler,
};

/// One connection from its first request to its end. The whole of it is one future, so that a request costs no task.
///
/// To be polled by a task of its own. Another protocol gets a new one, and the memory of this one is free.
pub(crate) fn serve<S: Service>(registration: Registration, service: Rc<S>) -> impl Future<Output = ()> {
    begin(registration, service, true)
}

/// The same for a future that the caller polls: it ends with the connection, whatever that becomes.
#[inline]
pub(crate) fn serve_through<S: Service>(registration: Registration, service: Rc<S>) -> impl Future<Output = ()> {
    begin(registration, service, false)
}

fn begin<S: Service>(registration: Registration, service: Rc<S>, has_task: bool) -> impl Future<Output = ()> {
    registration.conn.conn.flags.replace(Flag::HAS_TASK, has_task);
    let held = Held { registration, service };
    // A block for the sake of the service's futures, which borrow the service beside them. It moves nothing: what it moves
    // has room in it twice.
    async move {
        let held = &held;
        let turn = Turn::Waiting { wait: HeadWait::default(), in_a_row: 0 };
        // A closure that makes the request: one that is given it would be given a tuple, and that is a copy more.
        Serving::new(held, turn, |service, head, conn| S::call(service, Request::received(head, conn))).await;
    }
}

/// What a connection has from its beginning to its end.
struct Held<S> {
    registration: Registration,
    service: Rc<S>,
}

pin_project! {
    /// Serves one request after the other, and closes. `call` is [`Service::call`] for a request with a head: only by that is
    /// the type of the service's future known.
    struct Serving<'h, S, C, F> {
        held: &'h Held<S>,
        call: C,
        #[pin]
        turn: Turn<F>,
    }
}

pin_project! {
    /// What a connection does by turns. One takes the place of the other, since every idle connection has room for it; so
    /// what is rare is boxed. `in_a_row` is the number of requests that were found in the buffer, one behind the other, without
    /// the loop having had its turn; it goes along from turn to turn because there is room for it in each.
    #[project = TurnProjection]
    enum Turn<F> {
        // For the head of a request.
        Waiting { wait: HeadWait, in_a_row: u32 },
        // The service's future, which holds the request, and since when it has been waited for.
        Answering { waits_since: Option<Stamp>, in_a_row: u32, #[pin] future: F },
        // The body of an answer is sent as it comes. The service's future has gone.
        Streaming { streamed: Box<Streamed>, in_a_row: u32 },
        // What a service left of a body has to be passed to get to the next request.
        Dropping { in_a_row: u32 },
        // The head of the answer is sent: behind its last byte the client may speak another protocol. `None` when that has
        // begun.
        Switching { handler: Option<Box<UpgradeHandler>> },
        // What is left to be sent is sent.
        Closing,
        // Another protocol in this task, or the wait for a client to close its side.
        Ending { end: Pin<Box<dyn Future<Output = ()>>> },
    }
}

impl<'h, S, C, F> Future for Serving<'h, S, C, F>
where
    C: Fn(&'h S, &mut Option<RequestHead>, &Rc<ServerConn>) -> F,
    F: Future<Output = Response>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let held = self.held;
        // A panic of user code leaves through here. Unwind safe: what has panicked is dropped and not polled again. The
        // connection is made of cells, and none of them is borrowed while foreign code runs.
        match catch_unwind(AssertUnwindSafe(|| self.serve(cx))) {
            Ok(polled) => polled,
            Err(payload) => {
                contained::close_after_panic(&held.registration, payload);
                Poll::Ready(())
            }
        }
    }
}

impl<'h, S, C, F> Serving<'h, S, C, F>
where
    C: Fn(&'h S, &mut Option<RequestHead>, &Rc<ServerConn>) -> F,
    F: Future<Output = Response>,
{
    fn new(held: &'h Held<S>, turn: Turn<F>, call: C) -> Serving<'h, S, C, F> {
        Serving { held, call, turn }
    }

    /// Goes from turn to turn until something has to be waited for.
    #[inline]
    fn serve(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let (held, mut turn) = (*this.held, this.turn);
        let conn = &held.registration.conn;
        loop {
            // Whether the connection goes on with another request, and how many it has had in a row.
            let (goes_on, in_a_row) = match turn.as_mut().project() {
                TurnProjection::Waiting { wait, in_a_row } => {
                    let mut head = None;
                    if let Err(error) = ready!(conn.poll_request(cx, wait, &mut head)) {
                        // The next request may begin anywhere behind one that was not understood, so none is served
                        // (RFC 9112 2.2).
                        refuse(conn, *error);
                        turn.set(Turn::Closing);
                        continue;
                    }
                    if head.is_none() {
                        turn.set(Turn::Closing);
                        continue;
                    }
                    let in_a_row = if wait.has_waited() { 1 } else { in_a_row.wrapping_add(1) };
                    // The request goes from there straight into the service's future: moving it costs more than parsing its
                    // first line.
                    let future = (this.call)(&held.service, &mut head, conn);
                    turn.set(Turn::Answering { waits_since: None, in_a_row, future });
                    // Polled at once: an answer that does not wait costs no wake-up.
                    continue;
                }
                TurnProjection::Answering { waits_since, in_a_row, future } => {
                    let in_a_row = *in_a_row;
                    match ready!(poll_service(conn, future, waits_since, cx)) {
                        Next::Request => (true, in_a_row),
                        Next::End => (false, 0),
                        Next::Body(streamed) => {
                            turn.set(Turn::Streaming { streamed, in_a_row });
                            continue;
                        }
                        Next::Upgrade(handler) => {
                            turn.set(Turn::Switching { handler: Some(handler) });
                            continue;
                        }
                    }
                }
                TurnProjection::Streaming { streamed, in_a_row } => {
                    (ready!(conn.poll_streamed(cx, streamed)), *in_a_row)
                }
                TurnProjection::Dropping { in_a_row } => (ready!(conn.poll_drop_body(cx)).is_ok(), *in_a_row),
                TurnProjection::Switching { handler } => match (ready!(conn.poll_flush(cx)), handler.take()) {
                    (Ok(()), Some(handler)) if conn.conn.flags.has(Flag::HAS_TASK) => {
                        handler.spawn(held.registration.hand_over());
                        return Poll::Ready(());
                    }
                    (Ok(()), Some(handler)) => {
                        let end = handler.into_future(held.registration.hand_over());
                        turn.set(Turn::Ending { end });
                        continue;
                    }
                    _ => (false, 0),
                },
                TurnProjection::Closing => {
                    if ready!(conn.poll_flush(cx)).is_err() || !conn.has_unread_input() {
                        conn.stream().close();
                        return Poll::Ready(());
                    }
                    turn.set(Turn::Ending { end: Box::pin(linger_and_close(Rc::clone(conn))) });
                    continue;
                }
                TurnProjection::Ending { end } => return end.as_mut().poll(cx),
            };
            // RFC 9112 9.3: read the whole body or close. Otherwise the rest would pass for the next request.
            if !goes_on {
                turn.set(Turn::Closing);
            } else if !conn.is_body_done() {
                turn.set(Turn::Dropping { in_a_row });
            } else if (in_a_row as usize) < conn.limits().max_pipelined {
                turn.set(Turn::Waiting { wait: HeadWait::default(), in_a_row });
            } else {
                // A client with an endless supply of requests must not keep the others from theirs.
                turn.set(Turn::Waiting { wait: HeadWait::default(), in_a_row: 0 });
                conn.conn.start_flush();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

/// Polls the service, and encodes its answer when it is ready.
#[inline(always)]
fn poll_service(
    conn: &ServerConn,
    future: Pin<&mut impl Future<Output = Response>>,
    waits_since: &mut Option<Stamp>,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    // The answer is encoded and dropped where it is: it is large, and a move costs as much as a line of its head.
    if let Poll::Ready(ref mut response) = future.poll(cx) {
        // Nearly every service answers at once, and there is no time to be counted.
        if let Some(since) = *waits_since {
            conn.server().counters.waited_since(since, conn.turn_nanos());
        }
        return Poll::Ready(conn.answer(response));
    }
    poll_waiting(conn, waits_since, cx)
}

/// The service waits for something.
#[inline(never)]
fn poll_waiting(conn: &ServerConn, waits_since: &mut Option<Stamp>, cx: &mut Context<'_>) -> Poll<Next> {
    // The turn is still the one in which the request was taken up.
    if waits_since.is_none() {
        *waits_since = Some(Stamp::at(conn.turn_nanos()));
    }
    // The answers to earlier requests do not wait for this one.
    conn.conn.start_flush();
    // Polled only here. A service that answers at once registers for nothing and stores no waker.
    ready!(conn.poll_cancelled(cx));
    conn.server().counters.unanswered();
    conn.break_off();
    Poll::Ready(Next::End)
}

/// Answers what could not be understood, if there is anybody to answer.
#[cold]
fn refuse(conn: &ServerConn, error: Error) {
    // Any client can cause this at any time, so it is no line in the log of errors.
    conn.server().counters.refused(as_peer(conn.peer()), &error, conn.now());
    if error.status().is_some() {
        conn.refuse(&mut error.into_response());
    }
}

/// Sends what is left, sees to it that the client can read it, and closes.
pub(super) async fn close(conn: &ServerConn) {
    if poll_fn(|cx| conn.poll_flush(cx)).await.is_ok() && conn.has_unread_input() {
        // Boxed, because it is rare, and every idle connection would have room for it.
        let _ = Box::pin(linger(conn)).await;
    }
    conn.stream().close();
}

/// Lets the client end its side first, and closes.
async fn linger_and_close(conn: Rc<ServerConn>) {
    // An error: the connection has broken meanwhile, and there is nothing to wait for.
    let _ = linger(&conn).await;
    conn.stream().close();
}

/// RFC 9112 9.6: closing with unread input makes TCP send a reset, which can destroy the answer before the client has read
/// it. So end our side, and let the client end its own.
///
/// # Errors
///
/// When the connection has broken meanwhile; there is nothing to wait for then.
async fn linger(conn: &ServerConn) -> Result<()> {
    conn.stream().shutdown_write().await.map_err(Error::connection)?;
    let mut linger = Linger::default();
    poll_fn(|cx| conn.poll_linger(cx, &mut linger)).await;
    Ok(())
}
