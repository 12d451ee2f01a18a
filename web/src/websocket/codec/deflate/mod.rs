//! Compressed messages: permessage-deflate (RFC 7692). Feature `deflate`.
//!
//! What a connection does is agreed in its handshake, by the header `Sec-WebSocket-Extensions`: a client
//! [offers](Deflate::offer), a server [accepts](Deflate::accept), and the client checks the [answer](Deflate::agreed).
//! The [`Deflate`] that comes of it goes to the connection's [`Decoder`](super::Decoder::deflate) and
//! [`Encoder`](super::Encoder::deflate).
//!
//! By default each message is compressed by itself (no context takeover). Compressor and decompressor are borrowed from the
//! thread for one message, so a connection that is idle holds neither.

mod agreement;
mod compress;
mod inflate;
mod options;
mod parameters;

use std::rc::Rc;

use crate::kept::Kept;

pub use agreement::{Deflate, ExtensionError};
pub use options::DeflateOptions;

pub(super) use compress::Sender;
pub(super) use inflate::{Inflating, Receiver};

/// The empty stored block at the end of each message, which is not sent (RFC 7692 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Distances in deflate reach 32 KiB.
const MAX_WINDOW_BITS: u8 = 15;
/// zlib cannot compress with a window of 256 bytes: it takes one of 512, whose distances the peer could not follow.
const MIN_COMPRESSOR_BITS: u8 = 9;

thread_local! {
    static KEPT: Rc<Kept> = Kept::new(|| Box::new((compress::take_kept(), inflate::take_kept())));
}

/// To be called by the thread before anything is compressed: what waits for the next message goes when a burst of
/// connections ebbs.
#[inline]
fn keep_until_ebb() {
    // While the thread ends nothing ebbs.
    let _ = KEPT.try_with(|_| ());
}
