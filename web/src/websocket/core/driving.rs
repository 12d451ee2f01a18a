//! The handler and its connection as one future.

use std::{
    any::{Any, type_name},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use httpserver::{
    UpgradedConnection,
    iostream::ioloop::{Printable, panic_message, report_failure},
};
use pin_project_lite::pin_project;

use super::{Core, Phase, closing::Failure, keep_waiter};
use crate::websocket::codec::{CloseCode, Role};

/// Runs `handler`, whose result says whether it ended in order, and the connection around it, until both are over. The peer
/// is told when the server of the `connection` drains.
#[inline]
pub(in crate::websocket) fn drive<F: Future<Output = bool>>(
    core: Rc<Core>,
    handler: F,
    connection: Option<UpgradedConnection>,
) -> impl Future<Output = ()> {
    Driven { handler: Some(handler), connection, core }
}

pin_project! {
    struct Driven<F> {
        // Dropped where it ends.
        #[pin]
        handler: Option<F>,
        // Of a server.
        connection: Option<UpgradedConnection>,
        core: Rc<Core>,
    }

    impl<F> PinnedDrop for Driven<F> {
        // Cut by a drain, or with its loop: whoever still has a handle finds out.
        fn drop(this: Pin<&mut Self>) {
            this.core.cut();
        }
    }
}

impl<F: Future<Output = bool>> Future for Driven<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let core: &Core = this.core;
        core.has_read.set(false);
        core.burst.set(0);
        if this.handler.is_some()
            && let Poll::Ready(in_order) = poll_handler(this.handler.as_mut(), core, cx)
        {
            let code = if in_order { CloseCode::NORMAL } else { CloseCode::INTERNAL_ERROR };
            // A close frame of the peer's is answered with its own code. A code that may be sent.
            core.answer_close();
            let _ = core.begin_close(code, "");
        }
        // Nobody can send any more, nor receive.
        let has_handles = Core::has_handles(this.core);
        if !has_handles {
            core.answer_close();
            let _ = core.begin_close(CloseCode::NORMAL, "");
            if core.role == Role::Client {
                this.handler.set(None);
            }
        }
        if this.connection.as_ref().is_some_and(UpgradedConnection::is_draining) {
            // Once: nothing can be sent behind it.
            let _ = core.begin_close(CloseCode::GOING_AWAY, "");
        }
        if core.poll_drive(cx, this.handler.is_some() && has_handles).is_ready() && this.handler.is_none() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// Polls the handler while what it sends is gathered. Its panic ends it, and the connection with 1011.
#[inline]
fn poll_handler<F: Future<Output = bool>>(
    mut handler: Pin<&mut Option<F>>,
    core: &Core,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    let Some(future) = handler.as_mut().as_pin_mut() else { return Poll::Pending };
    let driving = Driving::begin(core);
    // Unwind safe: a future that has panicked is dropped, and not polled again.
    let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
    let in_order = match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(in_order)) => in_order,
        Err(payload) => {
            log_panic::<F>(&*payload);
            false
        }
    };
    // Its destructors may send as well.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| handler.set(None))) {
        log_panic::<F>(&*payload);
    }
    drop(driving);
    Poll::Ready(in_order)
}

/// While it lives the handler is being polled.
struct Driving<'c>(&'c Core);

impl<'c> Driving<'c> {
    #[inline]
    fn begin(core: &'c Core) -> Driving<'c> {
        core.driving.set(true);
        Driving(core)
    }
}

impl Drop for Driving<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.driving.set(false);
    }
}

impl Core {
    /// Does what nobody else does. Ready when the connection is over.
    fn poll_drive(&self, cx: &mut Context<'_>, has_handler: bool) -> Poll<()> {
        keep_waiter(&self.driver, cx.waker());
        if matches!(self.phase.get(), Phase::Open | Phase::Closing | Phase::ClosedByPeer) {
            // What the handler has sent leaves here, in one piece.
            let _ = self.poll_pump(cx);
            // A handler that has found nothing to read waits for it already.
            if !self.has_read.get() || !has_handler {
                self.poll_read_ahead(cx, has_handler);
            }
            self.poll_heartbeat(cx);
        }
        self.poll_end(cx)
    }

    /// The connection has gone, whatever it was at.
    #[inline]
    fn cut(&self) {
        if self.phase.get() != Phase::Over {
            self.fail(Failure::Cut);
        }
    }
}

/// One line for a panic of a handler.
#[cold]
fn log_panic<F>(payload: &(dyn Any + Send)) {
    let message = Printable::text(panic_message(payload));
    report_failure("web", format_args!("panic in a WebSocket handler ({}): {message}", type_name::<F>()));
}
