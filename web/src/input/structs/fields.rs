//! Named texts, and what has been found out about them.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt::{self, Formatter},
};

use serde_core::{
    de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};

use super::{fault::Fault, values::Values};
use crate::{error::Result, input::Source};

/// How often a struct is read anew. Each time one more field has been understood.
const MOST_ATTEMPTS: usize = 200;

/// Arguments as a struct reads them: by name, and those of one name in the order in which they were sent.
pub(crate) struct Fields<'a> {
    source: Source,
    pairs: Vec<Pair<'a>>,
    /// Whether the last attempt has found out something that makes another one worthwhile.
    again: Cell<bool>,
    /// Which text was understood last.
    latest: Cell<Option<usize>>,
}

/// One text.
pub(super) struct Pair<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) kind: Cell<Kind>,
    /// Whether all texts of this name are a list, where nobody says what they are. Counts on the first one.
    pub(super) is_list: Cell<bool>,
}

/// What a text is, where nobody says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Truth,
    /// Left blank, where it cannot be blank.
    Nothing,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) fn new(
        source: Source,
        pairs: impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>>,
    ) -> Result<Self> {
        let pair = |(name, text)| Pair { name, text, kind: Cell::new(Kind::Text), is_list: Cell::new(false) };
        let mut pairs = pairs.map(|item| item.map(pair)).collect::<Result<Vec<_>>>()?;
        // Stable: of one name, the order is that in which they were sent.
        pairs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Fields { source, pairs, again: Cell::new(false), latest: Cell::new(None) })
    }

    /// The struct that they make.
    #[inline]
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let mut attempts = 1;
        loop {
            match T::deserialize(self) {
                Ok(value) => return Ok(value),
                Err(fault) => {
                    let is_worthwhile = self.again.take() || self.learn(&fault);
                    if !is_worthwhile || attempts == MOST_ATTEMPTS {
                        // A text that was taken for nothing, and must not be nothing.
                        let latest = self.latest.get().map(|at| &*self.pairs[at].name);
                        let fault = if fault.is_blank() { fault.named(latest) } else { fault };
                        return Err(fault.into_error(self.source, &self.pairs));
                    }
                    attempts += 1;
                }
            }
        }
    }

    /// Finds out which text was not of the type that was asked for, and what it is instead. False if nothing is left to try.
    #[inline]
    fn learn(&self, fault: &Fault) -> bool {
        let Some(at) = fault.place_in(&self.pairs) else { return false };
        let pair = &self.pairs[at];
        let first = self.pairs.partition_point(|other| other.name < pair.name);
        let is_blank = pair.text.trim_ascii().is_empty();
        let kind = match fault.wanted() {
            Some(Wanted::List) => return !self.pairs[first].is_list.replace(true),
            Some(_) if pair.kind.get() != Kind::Text => return false,
            Some(_) if is_blank => Kind::Nothing,
            Some(Wanted::Truth) => Kind::Truth,
            Some(Wanted::Other) => Kind::Number,
            None => return false,
        };
        pair.kind.set(kind);
        self.latest.set(Some(at));
        true
    }
}

/// What a visitor wants, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    List,
    Truth,
    Other,
}

impl Wanted {
    #[inline]
    pub(super) fn of(expected: &str) -> Wanted {
        let is_list =
            ["a sequence", "a tuple", "an array", "tuple struct"].iter().any(|list| expected.starts_with(list));
        match expected {
            _ if is_list => Wanted::List,
            "a boolean" => Wanted::Truth,
            _ => Wanted::Other,
        }
    }
}

/// A map of the names.
impl<'de> Deserializer<'de> for &'de Fields<'_> {
    type Error = Fault;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Groups { rest: &self.pairs, current: &[], again: &self.again })
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// One name after the other, with all of its texts.
struct Groups<'de> {
    rest: &'de [Pair<'de>],
    current: &'de [Pair<'de>],
    again: &'de Cell<bool>,
}

impl<'de> MapAccess<'de> for Groups<'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(first) = self.rest.first() else { return Ok(None) };
        let count = self.rest.iter().take_while(|pair| pair.name == first.name).count();
        (self.current, self.rest) = self.rest.split_at(count);
        seed.deserialize(BorrowedStrDeserializer::new(&first.name)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let name = self.current.first().map(|pair| &*pair.name);
        let values = Values { pairs: self.current, again: self.again, is_element: false };
        seed.deserialize(values).map_err(|fault| fault.named(name))
    }
}

impl fmt::Debug for Fields<'_> {
    #[inline]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("source", &self.source).finish_non_exhaustive()
    }
}
