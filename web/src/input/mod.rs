//! What the text of a request becomes.

mod file_name;
mod source;
#[cfg(feature = "serde")]
mod structs;
mod temp_file;
mod text;

pub use file_name::safe_file_name;
pub use source::Source;
#[cfg(feature = "serde")]
pub(crate) use structs::Fields;
pub use temp_file::TempFile;
#[cfg(feature = "serde")]
pub(crate) use text::expected;
pub(crate) use text::{optional, parse, parse_all, required};
