//! The work that every peer does, written once.
//!
//! A peer implements [`Peer`] and calls [`main`]; its program then runs one row at a time and prints what it cost. The
//! primitives between tasks ([`Bell`], [`Latch`]) are the same few lines for all, so that only the loops differ.

mod bell;
mod clock;
mod latch;
mod peer;
mod program;
pub mod rows;
pub mod streams;

pub use crate::{
    bell::Bell,
    clock::{Sample, Stopwatch},
    latch::Latch,
    peer::{Message, Peer, Remote},
    program::main,
};
