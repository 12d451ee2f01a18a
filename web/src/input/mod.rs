//! What the text of a request becomes.

mod source;
#[cfg(feature = "serde")]
mod structs;
mod text;

pub use source::Source;
#[cfg(feature = "serde")]
pub(crate) use structs::Fields;
#[cfg(feature = "serde")]
pub(crate) use text::expected;
pub(crate) use text::{optional, parse, parse_all, required};
