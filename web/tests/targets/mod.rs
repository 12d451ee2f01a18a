//! What the fuzz targets do with their input. The programs in `fuzz/` feed it to them from outside, and `corpus.rs` has what
//! they found worth keeping go through them again.
//!
//! Each is a function of bytes that panics when a promise is broken.

// Each program uses one of them.
#![allow(dead_code, unreachable_pub)]

pub mod cookies;
pub mod extensions;
pub mod forms;
#[path = "../util/in_process.rs"]
pub mod in_process;
pub mod multipart;
pub mod ranges;
#[path = "../reference/mod.rs"]
pub mod reference;
pub mod signed_values;
pub mod websocket;

/// A target by its name, which is also that of its folder in the corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 7] = [
    ("websocket", websocket::run),
    ("extensions", extensions::run),
    ("signed_values", signed_values::run),
    ("forms", forms::run),
    ("cookies", cookies::run),
    ("ranges", ranges::run),
    ("multipart", multipart::run),
];
