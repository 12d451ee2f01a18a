//! Handlers that become WebSockets.

use std::{
    future::{Future, poll_fn},
    rc::Rc,
    task::Poll,
};

use httpserver::Response;

use super::{
    handshake::{Handshake, check_origin},
    options::WebSocketOptions,
    socket::WebSocket,
    upgrade::{Slot, upgrade},
};
use crate::{error::Result, exchange::Exchange};

impl Exchange {
    /// Accepts the WebSocket that the request asks for, with the default [`WebSocketOptions`]. What the handler does from
    /// then on is the WebSocket; when it returns, the socket is closed.
    ///
    /// The exchange is kept as long as the handler runs, with the request and its headers: some 900 bytes. A handler that
    /// needs nothing of it any more calls [`upgrade_websocket`](Exchange::upgrade_websocket) instead.
    ///
    /// # Errors
    ///
    /// The answer to a request that is no handshake, to be passed on with `?`: 426 for one that asks for something else or
    /// for another version than 13, 405 for another method than GET, 403 for a page of another origin, and 400 for whatever
    /// is malformed. [`Error::HeadSent`](crate::Error::HeadSent) and [`Error::Finished`](crate::Error::Finished) when the
    /// response has begun.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped after its first poll, it leaves a connection that is closed at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange};
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let name: String = exchange.path("name")?;
    ///     let mut socket = exchange.websocket().await?;
    ///     socket.send(format!("Hello, {name}")).await?;
    ///     while let Some(message) = socket.receive().await? {
    ///         println!("{name}: {} bytes", message.len());
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new().get("/greet/{name}", greet);
    /// ```
    #[inline]
    pub async fn websocket(&mut self) -> Result<WebSocket> {
        self.websocket_with(&WebSocketOptions::new()).await
    }

    /// As [`websocket`](Exchange::websocket), with other options.
    ///
    /// # Errors
    ///
    /// As [`websocket`](Exchange::websocket).
    ///
    /// # Cancel safety
    ///
    /// As [`websocket`](Exchange::websocket).
    #[inline]
    pub fn websocket_with(&mut self, options: &WebSocketOptions) -> impl Future<Output = Result<WebSocket>> + use<> {
        // The slot is all that waits: what the handshake needed has gone by then.
        let slot = self.hand_out_websocket(options);
        let mut slot = Some(slot);
        poll_fn(move |_| match &slot {
            Some(Ok(waiting)) => match waiting.take_socket() {
                Some(socket) => {
                    slot = None;
                    Poll::Ready(Ok(socket))
                }
                // The connection polls again when it has the stream.
                None => Poll::Pending,
            },
            Some(Err(_)) => Poll::Ready(slot.take().and_then(Result::err).map_or_else(|| unreachable!(), Err)),
            None => Poll::Pending,
        })
    }

    /// Accepts the WebSocket that the request asks for, and has `protocol` go on with it. The response is finished; when the
    /// handler has returned, nothing of the exchange is kept, so that thousands of sockets that wait cost little.
    ///
    /// An error that `protocol` returns is logged, unless it is the peer's doing.
    ///
    /// # Errors
    ///
    /// As [`websocket`](Exchange::websocket).
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, websocket::{WebSocket, WebSocketOptions}};
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let name: String = exchange.path("name")?;
    ///     exchange.upgrade_websocket(&WebSocketOptions::new(), async move |mut socket: WebSocket| {
    ///         socket.send(format!("Hello, {name}")).await?;
    ///         while let Some(_) = socket.receive().await? {}
    ///         Ok(())
    ///     })
    /// }
    ///
    /// let application = Application::new().get("/greet/{name}", greet);
    /// ```
    #[inline]
    pub fn upgrade_websocket(
        &mut self,
        options: &WebSocketOptions,
        protocol: impl AsyncFnOnce(WebSocket) -> Result<()> + 'static,
    ) -> Result<()> {
        let handshake = self.check_websocket(options)?;
        self.finish_with_websocket(handshake, options, move |socket| protocol(socket))
    }

    /// [`upgrade_websocket`](Exchange::upgrade_websocket) to what `prepare` makes once the handshake has been found good. A
    /// future that is written by hand is kept as it is, where an async closure would have room for its captures twice.
    #[cfg(feature = "comet")]
    #[inline]
    pub(crate) fn upgrade_websocket_to<P, F>(
        &mut self,
        options: &WebSocketOptions,
        prepare: impl FnOnce(&Exchange) -> Result<P>,
    ) -> Result<()>
    where
        P: FnOnce(WebSocket) -> F + 'static,
        F: Future<Output = Result<()>> + 'static,
    {
        let handshake = self.check_websocket(options)?;
        let protocol = prepare(self)?;
        self.finish_with_websocket(handshake, options, protocol)
    }

    /// Checks everything that the options decide.
    #[inline]
    fn check_websocket(&self, options: &WebSocketOptions) -> Result<Handshake> {
        self.check_open()?;
        let request = self.request();
        let mut handshake = Handshake::check(request)?;
        let settings = options.settings();
        check_origin(self, |origin| settings.origins.allows(origin, request.host()))?;
        handshake.select_subprotocol(request, settings)?;
        handshake.select_extensions(request, settings);
        Ok(handshake)
    }

    /// Makes the response the one that upgrades the connection.
    #[inline]
    pub(super) fn finish_with_websocket<P, F>(
        &mut self,
        handshake: Handshake,
        options: &WebSocketOptions,
        protocol: P,
    ) -> Result<()>
    where
        P: FnOnce(WebSocket) -> F + 'static,
        F: Future<Output = Result<()>> + 'static,
    {
        let head = self.take_upgrade_head()?;
        let response = upgrade(self.request(), head, handshake, options, protocol)?;
        self.finish_with_upgrade(response);
        Ok(())
    }

    /// Hands out the head, so that the handler's future goes on as the upgraded connection.
    #[inline]
    fn hand_out_websocket(&mut self, options: &WebSocketOptions) -> Result<Rc<Slot>> {
        let handshake = self.check_websocket(options)?;
        let mut head: Response = self.take_upgrade_head()?;
        handshake.write_to(&mut head)?;
        let slot = Rc::new(Slot::default());
        let protocol = slot.protocol(options.clone(), handshake.agreement);
        let response = self.request().upgrade_connection(head, protocol)?;
        self.hand_out_upgrade(response, Rc::clone(&slot));
        Ok(slot)
    }
}
