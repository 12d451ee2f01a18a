//! What path parameters and arguments are parsed into.

use std::str::FromStr;

/// A type that the text of a path parameter or an argument can be parsed into: every type that implements [`FromStr`].
///
/// It is implemented for all of them. It exists so that the compiler can say what to do when no type was named.
#[diagnostic::on_unimplemented(
    message = "the text of a request cannot be parsed into `{Self}`",
    label = "needs a type that implements `FromStr`",
    note = "a `{Self}` that appears nowhere in the program means that the type was left open: name it, as in \
            `let id: u64 = exchange.path(\"id\")?` or `exchange.path::<u64>(\"id\")?`"
)]
pub trait FromText: FromStr {}

#[diagnostic::do_not_recommend]
impl<T: FromStr> FromText for T {}
