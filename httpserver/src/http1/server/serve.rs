//! One connection from its first request to its end: the loop that calls the other parts in turn.
//!
//! The size of the future decides the shape of this file. Every connection has one, idle or not, with room for the
//! largest thing that any of its states holds. So what is rare is boxed, what is used in turn shares its place, and the
//! request and the answer are never moved on their way: each move costs as much as parsing a header line.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use iostream::ioloop::yield_now;
use pin_project_lite::pin_project;

use super::{HeadWait, Registration, ServerConn, answer::Next, contained::Contained, ending::Linger};
use crate::{Error, IntoResponse, Response, Result, Service, upgrade::UpgradeHandler};

/// One connection from its first request to its end. The whole of it is one future, so that a request costs no task.
///
/// To be polled by a task of its own. Another protocol gets a new one, and the memory of this one is free.
pub(crate) fn serve<S: Service>(registration: Registration, service: Rc<S>) -> impl Future<Output = ()> {
    Serving { contained: contained(registration, service) }
}

/// The same for a future that the caller polls: it ends with the connection, whatever that becomes.
#[inline]
pub(crate) async fn serve_through<S: Service>(registration: Registration, service: Rc<S>) {
    if let Some(upgrade) = contained(registration, service).await {
        let (handler, place) = *upgrade;
        handler.into_future(place).await;
    }
}

fn contained<S: Service>(
    registration: Registration,
    service: Rc<S>,
) -> Contained<impl Future<Output = Option<Box<UpgradeHandler>>>> {
    let conn = Rc::clone(&registration.conn);
    Contained::new(registration, serve_requests(conn, service))
}

pin_project! {
    /// As large as what it serves by; an async block would have a word more.
    struct Serving<F> {
        #[pin]
        contained: Contained<F>,
    }
}

impl<F: Future<Output = Option<Box<UpgradeHandler>>>> Future for Serving<F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(upgrade) = ready!(self.project().contained.poll(cx)) {
            let (handler, place) = *upgrade;
            handler.spawn(place);
        }
        Poll::Ready(())
    }
}

/// Serves one request after the other, and closes, unless another protocol goes on. A panic of user code leaves through here, and ends in [`Contained`].
///
/// Every idle connection has room for this future at its largest, so nothing big lives across an `await` in it but the
/// service's own future.
#[allow(clippy::manual_async_fn, reason = "an async function has room for each of its arguments twice")]
fn serve_requests<S: Service>(
    conn: Rc<ServerConn>,
    service: Rc<S>,
) -> impl Future<Output = Option<Box<UpgradeHandler>>> {
    async move {
        // Requests that were found in the buffer, one behind the other, without the loop having had its turn.
        let mut in_a_row = 0_u32;
        loop {
            // In a scope of its own, so that the service's future has gone when the body of its answer takes the place.
            let next = {
                let mut turn = pin!(Turn::Waiting { wait: HeadWait::default() });
                // Moved in, or every idle connection would have room for them beside the closure.
                let (conn, service, in_a_row) = (&conn, &service, &mut in_a_row);
                poll_fn(move |cx| {
                    loop {
                        let wait = match turn.as_mut().project() {
                            TurnProjection::Answering { waits_since, future } => {
                                return poll_service(conn, future, waits_since, cx);
                            }
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
                        *in_a_row = if wait.has_waited() { 1 } else { in_a_row.wrapping_add(1) };
                        // The request goes from here straight into the service's future: moving it costs more than
                        // parsing its first line.
                        turn.set(Turn::Answering { waits_since: 0, future: service.call(request) });
                        // The loop polls it at once: an answer that does not wait costs no wake-up.
                    }
                })
                .await
            };
            let goes_on = match next {
                Next::Request => true,
                Next::End => false,
                Next::Body(mut streamed) => poll_fn(|cx| conn.poll_streamed(cx, &mut streamed)).await,
                // Sent first: behind its last byte the client may speak the other protocol.
                Next::Upgrade(handler) => match poll_fn(|cx| conn.poll_flush(cx)).await {
                    Ok(()) => return Some(handler),
                    Err(_) => break,
                },
            };
            // RFC 9112 9.3: read the whole body or close. Otherwise the rest would pass for the next request.
            if !goes_on || !conn.is_body_done() && drop_body(&conn).await.is_err() {
                break;
            }
            if in_a_row as usize >= conn.limits().max_pipelined {
                // A client with an endless supply of requests must not keep the others from theirs.
                in_a_row = 0;
                conn.conn.start_flush();
                yield_now().await;
            }
        }
        close(&conn).await;
        None
    }
}

pin_project! {
    /// What a connection does by turns. One takes the place of the other, since every idle connection has room for it.
    #[project = TurnProjection]
    enum Turn<F> {
        // For the head of a request.
        Waiting { wait: HeadWait },
        // The service's future, which holds the request, and since when it has been waited for; 0 before that. There is
        // room for the number beside the tag of the enum.
        Answering { waits_since: u32, #[pin] future: F },
    }
}

/// Polls the service, and encodes its answer when it is ready.
fn poll_service(
    conn: &ServerConn,
    future: Pin<&mut impl Future<Output = Response>>,
    waits_since: &mut u32,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    // The answer is encoded and dropped where it is: it is large, and a move costs as much as a line of its head.
    if let Poll::Ready(ref mut response) = future.poll(cx) {
        // Nearly every service answers at once, and there is no time to be counted.
        if *waits_since != 0 {
            conn.server().counters.waited_since(*waits_since, conn.now());
        }
        return Poll::Ready(conn.answer(response));
    }
    // The turn is still the one in which the request was taken up.
    if *waits_since == 0 {
        *waits_since = conn.server().counters.stamp(conn.now());
    }
    // The answers to earlier requests do not wait for this one.
    conn.conn.start_flush();
    // Polled only here. A service that answers at once registers for nothing and stores no waker.
    ready!(conn.poll_cancelled(cx));
    conn.server().counters.unanswered();
    conn.break_off();
    Poll::Ready(Next::End)
}

/// What a service left of a body has to be passed to get to the next request.
async fn drop_body(conn: &ServerConn) -> Result<()> {
    poll_fn(|cx| conn.poll_drop_body(cx)).await
}

/// Answers what could not be understood, if there is anybody to answer.
fn refuse(conn: &ServerConn, error: Error) {
    // Any client can cause this at any time, so it is no line in the log of errors.
    conn.server().counters.refused(conn.peer(), &error, conn.now());
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
