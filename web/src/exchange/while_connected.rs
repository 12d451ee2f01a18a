use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::ClientGone;
use pin_project_lite::pin_project;

use super::Exchange;
use crate::error::{Error, Result};

pin_project! {
    /// The future of [`Exchange::while_connected`].
    ///
    /// Written by hand, because an async function has room for its argument twice: for the handler's own future, in every
    /// request that waits.
    #[must_use = "futures do nothing unless awaited"]
    pub struct WhileConnected<'e, F> {
        #[pin]
        future: F,
        gone: ClientGone,
        exchange: PhantomData<&'e Exchange>,
    }
}

impl<'e, F: Future> WhileConnected<'e, F> {
    #[inline]
    pub(super) fn new(exchange: &'e Exchange, future: F) -> WhileConnected<'e, F> {
        WhileConnected { future, gone: exchange.client_gone(), exchange: PhantomData }
    }
}

impl<F: Future> Future for WhileConnected<'_, F> {
    type Output = Result<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.gone).poll(cx).map(|()| Err(Error::ClientGone))
    }
}

impl<F> fmt::Debug for WhileConnected<'_, F> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhileConnected")
    }
}
