//! The texts of one name as whatever is asked for.

use std::{any::type_name, cell::Cell, str::FromStr};

use serde_core::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor, value::BorrowedStrDeserializer};

use super::{
    fault::Fault,
    fields::{Kind, Pair},
};
use crate::{error::Result, input::expected};

/// All texts of one name. As a single value they are the last one.
#[derive(Clone, Copy)]
pub(super) struct Values<'de> {
    /// At least one.
    pub(super) pairs: &'de [Pair<'de>],
    pub(super) again: &'de Cell<bool>,
    /// Whether it is one of a list already.
    pub(super) is_element: bool,
}

impl<'de> Values<'de> {
    #[inline]
    fn kind(self) -> Kind {
        self.pairs.last().map_or(Kind::Nothing, |pair| pair.kind.get())
    }

    #[inline]
    fn text(self) -> &'de str {
        self.pairs.last().map_or("", |pair| &pair.text)
    }

    #[inline]
    fn is_list(self) -> bool {
        !self.is_element && self.pairs.first().is_some_and(|pair| pair.is_list.get())
    }

    #[inline]
    fn parse<T: FromStr>(self) -> Result<T, Fault> {
        let text = self.text().trim_ascii();
        if text.is_empty() {
            return Err(Fault::blank());
        }
        text.parse().map_err(|_| Fault::invalid(expected(type_name::<T>())))
    }

    /// Remembers that texts are blank which cannot be, if that is what has failed.
    #[inline]
    fn note_blank<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        if result.is_err() {
            let is_blank = |pair: &&Pair<'_>| pair.kind.get() == Kind::Text && pair.text.trim_ascii().is_empty();
            for pair in self.pairs.iter().filter(is_blank) {
                pair.kind.set(Kind::Nothing);
                self.again.set(true);
            }
        }
        result
    }

    /// As what it was found to be.
    #[inline]
    fn visit_number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text().trim_ascii();
        if let Ok(number) = text.parse() {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = text.parse() {
            return visitor.visit_i64(number);
        }
        match text.parse() {
            Ok(number) => visitor.visit_f64(number),
            // No number after all: what is wrong is told of the text.
            Err(_) => visitor.visit_borrowed_str(self.text()),
        }
    }
}

/// What a form can say for yes and no: a checkbox sends `on`.
#[inline]
fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "on" => Some(true),
        "false" | "off" => Some(false),
        _ => None,
    }
}

macro_rules! parsed {
    ($($deserialize:ident $visit:ident)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.parse()?)
        }
    )*};
}

macro_rules! text {
    ($($deserialize:ident)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_borrowed_str(self.text())
        }
    )*};
}

impl<'de> Deserializer<'de> for Values<'de> {
    type Error = Fault;

    parsed! {
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
    }

    text! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    /// Asked for by those who take anything: flattened structs, enums with a tag inside.
    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.kind() {
            _ if self.is_list() => self.deserialize_seq(visitor),
            Kind::Text => visitor.visit_borrowed_str(self.text()),
            Kind::Number => self.visit_number(visitor),
            Kind::Truth => match truth(self.text().trim_ascii()) {
                Some(value) => visitor.visit_bool(value),
                None => visitor.visit_borrowed_str(self.text()),
            },
            Kind::Nothing | Kind::Absent => visitor.visit_none(),
        }
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text().trim_ascii();
        match truth(text) {
            Some(value) => visitor.visit_bool(value),
            None if text.is_empty() => Err(Fault::blank()),
            None => Err(Fault::invalid(expected("bool"))),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.kind() {
            Kind::Nothing => visitor.visit_none(),
            _ => self.note_blank(visitor.visit_some(self)),
        }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_seq(self)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.text()))
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.text().as_bytes())
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.text().as_bytes())
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::nested())
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(Fault::nested())
    }
}

/// One text after the other, without those that are blank and cannot be.
impl<'de> SeqAccess<'de> for Values<'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        while let Some((first, rest)) = self.pairs.split_first() {
            let element = Values { pairs: std::slice::from_ref(first), again: self.again, is_element: true };
            let all = std::mem::replace(&mut self.pairs, rest);
            if first.kind.get() == Kind::Nothing {
                continue;
            }
            return Values { pairs: all, ..*self }.note_blank(seed.deserialize(element)).map(Some);
        }
        Ok(None)
    }
}
