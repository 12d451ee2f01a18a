//! The WebSocket protocol without I/O: bytes in, messages out, and the other way round (RFC 6455).
//!
//! [`Decoder`] takes the bytes of a connection in whatever pieces they come and returns [`Event`]s. [`Encoder`] turns
//! messages into frames. Neither reads, writes or waits, so both work over any stream, and in tests over none.
//!
//! With the feature `deflate` both can compress, as client and server have agreed on in the handshake: see `Deflate`.
//!
//! An idle decoder holds no buffer: memory is taken when a message begins and leaves with it. A message that arrives in one
//! piece is copied once, unmasked on the way. Limits are checked when a frame announces its length, before there is
//! memory for it.
//!
//! # Examples
//!
//! ```
//! use web::websocket::{
//!     Message,
//!     codec::{Decoder, Encoder, Event, Role},
//! };
//!
//! // A client's frames are masked with a key of four random bytes.
//! let bytes = Encoder::new(Role::Client).text("Hello");
//!
//! let mut decoder = Decoder::new(Role::Server);
//! let mut rest = &bytes[..];
//! let event = decoder.decode(&mut rest)?;
//! assert_eq!(event, Some(Event::Message(Message::Text("Hello".to_owned()))));
//! assert!(rest.is_empty());
//!
//! // Those of a server are not, so one frame serves all receivers.
//! let bytes = Encoder::new(Role::Server).text("Hello");
//! assert_eq!(bytes, b"\x81\x05Hello"[..]);
//! # Ok::<(), web::websocket::codec::ProtocolError>(())
//! ```

mod assembly;
mod close;
mod content;
mod decoder;
#[cfg(feature = "deflate")]
mod deflate;
mod encoder;
mod error;
mod frame;
mod mask;
mod message;
#[cfg(not(feature = "deflate"))]
mod no_deflate;
mod random;
mod role;
mod text;

pub use close::{CloseCode, CloseFrame};
pub use decoder::{DEFAULT_MAX_MESSAGE_SIZE, Decoder};
#[cfg(feature = "deflate")]
pub use deflate::{Deflate, DeflateOptions, ExtensionError};
pub use encoder::Encoder;
pub(super) use encoder::FrameKind;
pub use error::{EncodeError, ProtocolError};
pub use mask::unmask;
pub use message::{Event, Message};
pub(super) use random::random;
pub use role::Role;

#[cfg(feature = "deflate")]
use deflate::{Inflating, Receiver, Sender};
#[cfg(not(feature = "deflate"))]
use no_deflate::{Inflating, Receiver, Sender};
