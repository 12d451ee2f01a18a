//! What other libraries speak, each behind a feature.

mod http_body;
#[cfg(feature = "tower")]
pub mod tower;
