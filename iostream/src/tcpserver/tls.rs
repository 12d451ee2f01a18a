//! The handshake before the handler.

use std::rc::Rc;

use ioloop::{IOLoop, Printable};

use super::state::{Connection, ServerState};
use crate::{IOStream, Peer, tls::HandshakeFuture};

/// Serves `stream` when it has shaken hands.
pub(super) async fn serve_after(
    handshake: HandshakeFuture,
    state: Rc<ServerState>,
    stream: IOStream,
    peer: Peer,
    connection: Connection,
) {
    match handshake.await {
        Ok(()) => (state.serve)(stream, peer, connection),
        Err(error) => {
            if let Some(silent) = state.bad_handshakes.note(IOLoop::current().turn_time()) {
                let error = Printable::display(&error);
                log::info!("the TLS handshake with {peer} has failed, and {silent} before: {error}");
            }
        }
    }
}
