use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::StatusCode;
use iostream::ioloop::yield_now;

use crate::{
    Error, IntoResponse, Response, Result, Service,
    http1::channel::{Answer, Channel, HeadWait},
    server::Registration,
};

/// One connection from its first request to its end. The whole of it is one future, so that a request costs no task.
///
/// Every idle connection has room for this future at its largest, so nothing big lives across an `await` in it but the
/// service's own future.
pub(crate) async fn serve<S: Service>(channel: Rc<Channel>, service: Rc<S>, registration: Registration) {
    let mut in_a_row = 0;
    loop {
        // In a scope of its own, so that the wait has gone when the service's future takes its place.
        let request = {
            let mut wait = HeadWait::default();
            match poll_fn(|cx| channel.poll_request(cx, &mut wait)).await {
                Ok(Some(request)) => {
                    in_a_row = if wait.has_waited() { 0 } else { in_a_row + 1 };
                    request
                }
                Ok(None) => break,
                Err(error) => {
                    refuse(&channel, error);
                    break;
                }
            }
        };
        let goes_on = {
            let mut future = pin!(service.call(request));
            poll_fn(|cx| poll_service(&channel, future.as_mut(), cx)).await
        };
        if !goes_on || !channel.is_body_done() && drop_body(&channel).await.is_err() {
            break;
        }
        if in_a_row >= channel.limits().max_pipelined {
            // A client with an endless supply of requests must not keep the others from theirs.
            in_a_row = 0;
            channel.start_flush();
            yield_now().await;
        }
    }
    close(&channel).await;
    drop(registration);
}

/// Runs the service and encodes its answer. Ready with whether the connection goes on.
fn poll_service(
    channel: &Channel,
    future: Pin<&mut impl Future<Output = Response>>,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    // The answer is encoded inside: it is large, and would be moved several times on its way out.
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx).map(|response| answer(channel, response)))) {
        Ok(Poll::Ready(goes_on)) => Poll::Ready(goes_on),
        Ok(Poll::Pending) => {
            // The answers to earlier requests do not wait for this one.
            channel.start_flush();
            ready!(channel.poll_cancelled(cx));
            channel.break_off();
            Poll::Ready(false)
        }
        Err(payload) => {
            answer_panic(channel, &*payload);
            Poll::Ready(false)
        }
    }
}

/// Sends what is left to send of the answer. True when the connection goes on.
fn answer(channel: &Channel, response: Response) -> bool {
    match channel.answer_state() {
        Answer::NotBegun if !response.is_streamed() => channel.answer(response),
        Answer::Finished { keep_alive } => channel.end_streamed(keep_alive),
        // Half an answer is out. The client finds out by the missing end.
        Answer::NotBegun | Answer::Begun { .. } => {
            channel.break_off();
            false
        }
    }
}

/// A 500 if nothing was sent yet. The connection ends in any case.
fn answer_panic(channel: &Channel, payload: &(dyn Any + Send)) {
    let message = panic_message(payload);
    if channel.answer_state() == Answer::NotBegun {
        log::error!("panic in a service: {message}; answering 500");
        channel.answer(internal_error());
    } else {
        log::error!("panic in a service: {message}; closing the connection");
        channel.break_off();
    }
}

/// What a service left of a body has to be passed to get to the next request.
async fn drop_body(channel: &Channel) -> Result<()> {
    let mut dropped = 0;
    poll_fn(|cx| channel.poll_drop_body(cx, &mut dropped)).await
}

/// Answers what could not be understood, if there is anybody to answer.
fn refuse(channel: &Channel, error: Error) {
    log::debug!("refusing a request from {:?}: {error}", channel.peer());
    if error.status().is_some() {
        channel.refuse(error.into_response());
    }
}

/// Sends what is left, sees to it that the client can read it, and closes.
async fn close(channel: &Channel) {
    if poll_fn(|cx| channel.poll_flush(cx)).await.is_ok() && channel.has_unread_input() {
        // Boxed, because it is rare, and every idle connection would have room for it.
        let _ = Box::pin(linger(channel)).await;
    }
    channel.stream().close();
}

/// RFC 9112 9.6: closing with unread input makes TCP send a reset, which can destroy the answer before the client has read
/// it. So end our side, and let the client end its own.
async fn linger(channel: &Channel) -> Result<()> {
    channel.stream().shutdown_write().await?;
    channel.set_linger_deadline();
    let mut dropped = 0;
    poll_fn(|cx| channel.poll_linger(cx, &mut dropped)).await;
    Ok(())
}

fn internal_error() -> Response {
    let mut response = Response::text("500 Internal Server Error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR);
    response.close_connection();
    response
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("<not a string>")
}
