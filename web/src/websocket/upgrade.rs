//! From the handshake to the upgraded connection.

use std::{
    any::type_name,
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use httpserver::{
    Request, Response, UpgradedConnection,
    iostream::ioloop::{Printable, report_failure},
};
use pin_project_lite::pin_project;

use super::{
    agreement::Agreement,
    codec::Role,
    core::{Core, drive},
    handshake::Handshake,
    options::WebSocketOptions,
    socket::WebSocket,
};
use crate::{answering::CallFuture, error::Result};

/// Makes `head` the answer that turns the connection over to `protocol`.
///
/// # Errors
///
/// When the head cannot be sent.
#[inline]
pub(super) fn upgrade<P, F>(
    request: &Request,
    mut head: Response,
    handshake: Handshake,
    options: &WebSocketOptions,
    protocol: P,
) -> Result<Response>
where
    P: FnOnce(WebSocket) -> F + 'static,
    F: Future<Output = Result<()>> + 'static,
{
    handshake.write_to(&mut head)?;
    let protocol = begin(options.clone(), handshake.agreement, protocol);
    Ok(request.upgrade_connection(head, protocol)?)
}

/// What goes on with the stream. No async function, because the future of that has room for all arguments beside the one
/// that it runs.
#[inline]
fn begin<P, F>(
    options: WebSocketOptions,
    agreement: Agreement,
    protocol: P,
) -> impl AsyncFnOnce(UpgradedConnection) + 'static
where
    P: FnOnce(WebSocket) -> F + 'static,
    F: Future<Output = Result<()>> + 'static,
{
    move |connection: UpgradedConnection| {
        let core = Core::new(connection.stream().clone(), options, Role::Server, agreement);
        let handler = Handled { future: protocol(WebSocket::new(Rc::clone(&core))) };
        drive(core, handler, Some(connection))
    }
}

pin_project! {
    /// A handler whose errors are logged.
    struct Handled<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<()>>> Future for Handled<F> {
    /// Whether it ended in order.
    type Output = bool;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match ready!(self.project().future.poll(cx)) {
            Ok(()) => Poll::Ready(true),
            // Where the peer has ended it, nothing is left to be told.
            Err(error) => {
                log_error::<F>(&error);
                Poll::Ready(false)
            }
        }
    }
}

#[cold]
fn log_error<F>(error: &crate::Error) {
    let text = Printable::display(error);
    let is_the_peers = error.is_client_gone() || error.status().is_client_error();
    if is_the_peers {
        log::debug!(target: "web", "a WebSocket ended ({}): {text}", type_name::<F>());
    } else {
        report_failure("web", format_args!("error in a WebSocket handler ({}): {text}", type_name::<F>()));
    }
}

/// Where a handler that goes on as a WebSocket meets its connection.
///
/// The handler's future is within that of its call, which only whoever polls it can move. So the handler leaves this with
/// the head of the response, whoever polls puts the rest of the call in, and the connection takes it out.
#[derive(Default)]
pub(crate) struct Slot {
    /// The rest of the call, from the time that the head is known until the connection is upgraded.
    rest: Cell<Option<CallFuture>>,
    /// The socket, from then until the handler takes it.
    core: Cell<Option<Rc<Core>>>,
    /// The connection will never be upgraded.
    is_lost: Cell<bool>,
}

impl Slot {
    /// Takes the rest of the call.
    #[inline]
    pub(crate) fn go_on_with(&self, call: CallFuture) {
        if !self.is_lost.get() {
            self.rest.set(Some(call));
        }
    }

    /// The socket, once the connection is upgraded.
    #[inline]
    pub(super) fn take_socket(&self) -> Option<WebSocket> {
        self.core.take().map(WebSocket::new)
    }

    /// What goes on with the stream: the rest of the call.
    #[inline]
    pub(super) fn protocol(
        self: &Rc<Self>,
        options: WebSocketOptions,
        agreement: Agreement,
    ) -> impl AsyncFnOnce(UpgradedConnection) + use<> + 'static {
        let slot = Owner(Rc::clone(self));
        move |connection: UpgradedConnection| {
            let core = Core::new(connection.stream().clone(), options, Role::Server, agreement);
            let call = slot.0.rest.take();
            slot.0.core.set(Some(Rc::clone(&core)));
            drive(core, Called { call }, Some(connection))
        }
    }
}

/// The connection's handle of a slot. The call has one too, so it must not stay in the slot when the connection goes before
/// it was upgraded.
struct Owner(Rc<Slot>);

impl Drop for Owner {
    #[inline]
    fn drop(&mut self) {
        self.0.is_lost.set(true);
        drop(self.0.rest.take());
    }
}

/// The rest of a call.
struct Called {
    /// Absent when whoever polled the call has dropped it; then there is no handler.
    call: Option<CallFuture>,
}

impl Future for Called {
    /// Whether it ended in order.
    type Output = bool;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.call {
            // A call whose response is known says by another one how it ended.
            Some(call) => call.as_mut().poll(cx).map(|end| !end.is_abort()),
            None => Poll::Ready(false),
        }
    }
}
