//! Server-sent events: an answer that goes on, of which a browser's `EventSource` makes events.
//!
//! [`Exchange::event_stream`](crate::Exchange::event_stream) begins one. The format and the client's side are those of the
//! WHATWG's HTML standard, section "Server-sent events".
//!
//! * [`Event`] formats an event; [`EncodedEvent`] is the result, which thousands of streams can share.
//! * [`EventStream`] sends them.
//! * [`EventStreamOptions`] says how often silence is broken, and when clients come back.
//! * [`EventParser`] reads a stream of events, as a client does.
//!
//! # Costs
//!
//! Beyond a request that waits, an idle stream holds its body. The timer for the keep-alive comments is the connection's own.
//! An event is copied once into what is sent; formatting it costs one allocation, or none
//! where the stream sends an [`EncodedEvent`]. Each event leaves by one `send`, and events that are sent without a wait in
//! between share one.

mod body;
mod event;
mod options;
mod parser;
mod stream;

pub(crate) use self::body::Kept;
pub use self::{
    event::{EncodedEvent, Event},
    options::EventStreamOptions,
    parser::{EventParser, ReceivedEvent},
    stream::EventStream,
};
