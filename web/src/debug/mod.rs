//! Working on an application: errors that explain themselves, pages that reload, a server that follows its program. Feature
//! `debug`.
//!
//! [`Application::debug`](crate::Application::debug) switches it on, and [`serve`] serves so while the program is built again
//! and again. Nothing of it belongs on a machine that strangers can reach.

mod application;
mod mask;
mod mode;
mod origin;
mod page;
mod reload;
mod report;
mod supervisor;
mod watch;

pub(crate) use self::{origin::note_origin, page::write_page, reload::add_script};
pub use self::{supervisor::serve, watch::watch};
