//! Who is asking, and pages that want to know.

mod current_user;
mod guard;
mod safe_next;

pub use self::{guard::LoginRequired, safe_next::safe_next};
