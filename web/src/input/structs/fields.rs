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

/// How often a struct is read anew, if it is short. Each time one more field has been understood.
const MOST_ATTEMPTS: usize = 200;

/// How many texts are read in all attempts together: a millisecond or two.
const MOST_WORK: usize = 20_000;

/// After so many attempts it is a map and not a struct that wants numbers or lists: all that look like it are taken for such.
const PATIENCE: usize = 8;

/// Arguments as a struct reads them: by name, and those of one name in the order in which they were sent.
pub(crate) struct Fields<'a> {
    source: Source,
    pairs: Vec<Pair<'a>>,
    /// Whether the last attempt has found out something that makes another one worthwhile.
    again: Cell<bool>,
    /// Which text was understood last.
    latest: Cell<Option<usize>>,
    /// Whether guesses have been wrong.
    is_misled: Cell<bool>,
}

/// One text.
pub(super) struct Pair<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) kind: Cell<Kind>,
    /// Whether all texts of this name are a list, where nobody says what they are. Counts on the first one.
    pub(super) is_list: Cell<bool>,
    /// Whether that is a guess, by what others are.
    pub(super) is_guess: Cell<bool>,
}

/// What a text is, where nobody says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Truth,
    /// Left blank, where it cannot be blank.
    Nothing,
    /// The same, where only a default helps: as if it had not been sent.
    Absent,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) fn new(
        source: Source,
        pairs: impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>>,
    ) -> Result<Self> {
        let pair = |(name, text)| Pair {
            name,
            text,
            kind: Cell::new(Kind::Text),
            is_list: Cell::new(false),
            is_guess: Cell::new(false),
        };
        let mut pairs = pairs.map(|item| item.map(pair)).collect::<Result<Vec<_>>>()?;
        // Stable: of one name, the order is that in which they were sent.
        pairs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Fields { source, pairs, again: Cell::new(false), latest: Cell::new(None), is_misled: Cell::new(false) })
    }

    /// The struct that they make.
    #[inline]
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let mut blank: Vec<Fault> = Vec::new();
        let most = (MOST_WORK / self.pairs.len().max(1)).min(MOST_ATTEMPTS);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let fault = match T::deserialize(self) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            if attempt < most && (self.again.take() || self.learn(&fault, attempt) || self.take_back(&fault)) {
                continue;
            }
            // A text that was taken for nothing, and must not be nothing.
            let latest = self.latest.get().map(|at| &*self.pairs[at].name);
            let fault = if fault.is_blank() { fault.named(latest) } else { fault };
            if attempt < most && self.leave_out(&fault) {
                blank.push(fault);
                continue;
            }
            // No default takes the place of what was left out: what was wrong with it says more.
            let first = blank.into_iter().find(|first| fault.misses(first.name()));
            return Err(first.unwrap_or(fault).into_error(self.source, &self.pairs));
        }
    }

    /// Finds out which text was not of the type that was asked for, and what it is instead. False if nothing is left to try.
    #[inline]
    fn learn(&self, fault: &Fault, attempt: usize) -> bool {
        let Some(at) = fault.place_in(&self.pairs) else { return false };
        let pair = &self.pairs[at];
        let first = self.pairs.partition_point(|other| other.name < pair.name);
        let is_blank = pair.text.trim_ascii().is_empty();
        let may_guess = attempt >= PATIENCE && !self.is_misled.get();
        let kind = match fault.wanted() {
            Some(Wanted::List) => {
                if may_guess {
                    self.guess_lists();
                }
                return !self.pairs[first].is_list.replace(true);
            }
            Some(_) if pair.kind.get() != Kind::Text => return false,
            Some(_) if is_blank => Kind::Nothing,
            Some(Wanted::Truth) => Kind::Truth,
            Some(Wanted::Other) => Kind::Number,
            None => return false,
        };
        if may_guess && kind == Kind::Number {
            self.guess_numbers();
        }
        pair.kind.set(kind);
        pair.is_guess.set(false);
        self.latest.set(Some(at));
        true
    }

    #[inline]
    fn guess_numbers(&self) {
        let is_number =
            |pair: &&Pair<'_>| pair.kind.get() == Kind::Text && pair.text.trim_ascii().parse::<f64>().is_ok();
        for pair in self.pairs.iter().filter(is_number) {
            pair.kind.set(Kind::Number);
            pair.is_guess.set(true);
        }
    }

    #[inline]
    fn guess_lists(&self) {
        for pair in self.pairs.iter().filter(|pair| !pair.is_list.get()) {
            pair.is_list.set(true);
            pair.is_guess.set(true);
        }
    }

    /// Takes back a guess that was wrong; all of them, if the fault does not say which. False if there is none.
    #[inline]
    fn take_back(&self, fault: &Fault) -> bool {
        if let Some(at) = fault.place_in(&self.pairs) {
            let was_guess = self.pairs[at].is_guess.get();
            if was_guess {
                self.pairs[at].take_back();
            }
            return was_guess;
        }
        let mut guesses = self.pairs.iter().filter(|pair| pair.is_guess.get()).peekable();
        let is_any = fault.wanted().is_some() && guesses.peek().is_some();
        if is_any {
            self.is_misled.set(true);
            guesses.for_each(Pair::take_back);
        }
        is_any
    }

    /// Leaves out a field that cannot be blank and is, so that its default counts. False if the fault is of another kind.
    #[inline]
    fn leave_out(&self, fault: &Fault) -> bool {
        let named = fault.name().and_then(|name| self.pairs.iter().rposition(|pair| pair.name == name));
        let Some(at) = named.or_else(|| fault.place_in(&self.pairs)) else { return false };
        let pair = &self.pairs[at];
        pair.text.trim_ascii().is_empty() && pair.kind.replace(Kind::Absent) != Kind::Absent
    }
}

impl Pair<'_> {
    #[inline]
    fn take_back(&self) {
        self.kind.set(Kind::Text);
        self.is_list.set(false);
        self.is_guess.set(false);
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
        let first = loop {
            let Some(first) = self.rest.first() else { return Ok(None) };
            let count = self.rest.iter().take_while(|pair| pair.name == first.name).count();
            (self.current, self.rest) = self.rest.split_at(count);
            // Of several the last one counts.
            if self.current.last().is_some_and(|pair| pair.kind.get() != Kind::Absent) {
                break first;
            }
        };
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
