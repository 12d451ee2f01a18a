//! What the text of a request becomes.

mod source;
mod text;

pub use source::Source;
pub(crate) use text::{optional, parse, parse_all, required};
