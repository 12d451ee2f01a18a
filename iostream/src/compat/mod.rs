//! The traits by which other libraries read and write, one file and one feature each.

#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
#[macro_use]
mod write;

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "tokio")]
mod tokio;
