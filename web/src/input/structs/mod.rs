//! Whole structs from named texts, through serde.
//!
//! Every value is text, and a struct says by its types what each text means. It says so where it reads a field, so a number
//! is parsed when one is asked for. Two things are not said in time. Whether a blank field may be `None` depends on the type
//! inside the `Option`; and the fields of a flattened struct are read before anybody asks for them, as whatever they look
//! like. Both come out as an error, which tells the place. That field is then read in another way, and the struct once more.

mod fault;
mod fields;
mod values;

pub(crate) use fields::Fields;
