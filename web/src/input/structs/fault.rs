//! Why a struct could not be read.

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt::{self, Display, Formatter},
};

use httpserver::StatusCode;
use serde_core::de::{Error as DeError, Expected, Unexpected};

use super::fields::{Kind, Pair, Wanted};
use crate::{
    error::{Error, HttpError},
    input::{Source, expected},
};

/// Boxed, because it is in the result of every field.
#[derive(Debug)]
pub(crate) struct Fault(Box<Details>);

#[derive(Debug)]
struct Details {
    what: What,
    /// Of the field, where it is known.
    name: Option<String>,
    place: Option<Place>,
    /// Whether the text may be something else than what it was taken for.
    wanted: Option<Wanted>,
}

#[derive(Debug)]
enum What {
    /// The struct has a field of this name.
    Missing(&'static str),
    Blank,
    /// For this reason, in words of this crate or of the program.
    Invalid(Cow<'static, str>),
    /// The struct has these fields, and no others.
    Unknown(&'static [&'static str]),
    /// The program asks for what no arguments can be.
    Program(String),
}

/// Which text was wrong, where nobody tells its name.
#[derive(Debug)]
enum Place {
    /// Texts are lent, never copied, so each is known by its address.
    Address(usize),
    /// A number that a text was taken for.
    Number(f64),
}

impl Fault {
    #[inline]
    fn new(what: What) -> Fault {
        Fault(Box::new(Details { what, name: None, place: None, wanted: None }))
    }

    #[inline]
    pub(super) fn blank() -> Fault {
        Fault::new(What::Blank)
    }

    #[inline]
    pub(super) fn invalid(reason: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(What::Invalid(reason.into()))
    }

    #[inline]
    pub(super) fn nested() -> Fault {
        Fault::new(What::Program("a struct or a map inside of a struct of arguments, without #[serde(flatten)]".into()))
    }

    /// With the name of its field, unless it has one.
    #[inline]
    pub(super) fn named(mut self, name: Option<&str>) -> Fault {
        if self.0.name.is_none() {
            self.0.name = name.map(str::to_owned);
        }
        self
    }

    #[inline]
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.0.what, What::Blank)
    }

    /// Of the field that it is about, if that is known.
    #[inline]
    pub(super) fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Whether it is that a field of this name is missing.
    #[inline]
    pub(super) fn misses(&self, name: Option<&str>) -> bool {
        matches!(self.0.what, What::Missing(field) if Some(field) == name)
    }

    #[inline]
    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.0.wanted
    }

    /// Which of the texts it is about.
    #[inline]
    pub(super) fn place_in(&self, pairs: &[Pair<'_>]) -> Option<usize> {
        match self.0.place.as_ref()? {
            Place::Address(address) => pairs.iter().position(|pair| pair.text.as_ptr().addr() == *address),
            Place::Number(number) => {
                let is_it = |pair: &Pair<'_>| {
                    pair.kind.get() == Kind::Number
                        && pair.text.trim_ascii().parse().is_ok_and(|text: f64| text == *number)
                };
                // One that was guessed is the likelier one.
                let guessed = pairs.iter().position(|pair| is_it(pair) && pair.is_guess.get());
                guessed.or_else(|| pairs.iter().position(is_it))
            }
        }
    }

    /// What becomes of the request.
    #[inline]
    pub(super) fn into_error(self, source: Source, pairs: &[Pair<'_>]) -> Error {
        let place = self.place_in(pairs).map(|at| pairs[at].name.to_string());
        let Details { what, name, .. } = *self.0;
        let name = name.or(place).map(|name| if is_plain_name(&name) { name } else { "value".to_owned() });
        match (what, name) {
            (What::Missing(field), _) if source == Source::Path => {
                program(format!("a struct wants the parameter {field:?}, which the route does not have"))
            }
            (What::Missing(field), _) => Error::missing(source, field),
            (What::Blank, name) => Error::missing(source, &name.unwrap_or_default()),
            (What::Invalid(reason), Some(name)) => Error::invalid(source, &name, shown(&reason, pairs)),
            (What::Invalid(reason), None) => {
                Error::http(StatusCode::BAD_REQUEST, format!("Invalid {source}s: {}", shown(&reason, pairs)))
            }
            (What::Unknown(known), _) => {
                Error::http(StatusCode::BAD_REQUEST, format!("Unknown {source}; known: {}", known.join(", ")))
            }
            (What::Program(text), _) => program(text),
        }
    }

    /// A fault of the type's visitor.
    #[inline]
    fn of_type(unexpected: &Unexpected<'_>, wanted: &dyn Expected) -> Fault {
        let wanted = wanted.to_string();
        let mut fault = match unexpected {
            Unexpected::Map => Fault::new(What::Program(format!("arguments cannot be {wanted}"))),
            Unexpected::Option => Fault::blank(),
            _ => Fault::invalid(in_words(&wanted)),
        };
        fault.0.place = match unexpected {
            Unexpected::Str(text) => Some(Place::Address(text.as_ptr().addr())),
            Unexpected::Unsigned(number) => Some(Place::Number(*number as f64)),
            Unexpected::Signed(number) => Some(Place::Number(*number as f64)),
            Unexpected::Float(number) => Some(Place::Number(*number)),
            _ => None,
        };
        fault
    }
}

impl DeError for Fault {
    #[inline]
    fn custom<T: Display>(message: T) -> Fault {
        Fault::invalid(message.to_string())
    }

    #[inline]
    fn invalid_type(unexpected: Unexpected<'_>, wanted: &dyn Expected) -> Fault {
        let mut fault = Fault::of_type(&unexpected, wanted);
        fault.0.wanted = Some(Wanted::of(&wanted.to_string()));
        fault
    }

    #[inline]
    fn invalid_value(unexpected: Unexpected<'_>, wanted: &dyn Expected) -> Fault {
        Fault::of_type(&unexpected, wanted)
    }

    #[inline]
    fn invalid_length(_: usize, wanted: &dyn Expected) -> Fault {
        Fault::invalid(format!("expected {wanted}"))
    }

    #[inline]
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Fault {
        let mut fault = Fault::invalid(format!("expected one of {}", known.join(", ")));
        fault.0.place = Some(Place::Address(variant.as_ptr().addr()));
        fault
    }

    #[inline]
    fn unknown_field(_: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(What::Unknown(known))
    }

    #[inline]
    fn missing_field(field: &'static str) -> Fault {
        Fault::new(What::Missing(field))
    }

    #[inline]
    fn duplicate_field(field: &'static str) -> Fault {
        Fault::invalid("it was sent under two names").named(Some(field))
    }
}

/// What a type wants, by the words that a single argument is refused with if there are some.
#[inline]
fn in_words(wanted: &str) -> Cow<'static, str> {
    let name = match wanted {
        "a boolean" => "bool",
        "a character" => "char",
        _ if ["i8", "i16", "i32", "i64", "i128", "isize"].contains(&wanted) => "i64",
        _ if ["u8", "u16", "u32", "u64", "u128", "usize"].contains(&wanted) => "u64",
        "f32" | "f64" => "f64",
        _ => return Cow::Owned(format!("expected {wanted}")),
    };
    Cow::Borrowed(expected(name))
}

/// The reason as the client may see it. Types of the program and of other crates make their own, and some repeat the value.
#[inline]
fn shown<'r>(reason: &'r str, pairs: &[Pair<'_>]) -> &'r str {
    let repeats = |pair: &Pair<'_>| pair.text.len() > 3 && reason.contains(&*pair.text);
    let is_markup = |c: char| matches!(c, '<' | '>' | '&' | '"') || c.is_control();
    if reason.contains(is_markup) || pairs.iter().any(repeats) { "it is not valid" } else { reason }
}

/// Whether a name is one that a program would choose. Those of a map come from the client.
#[inline]
fn is_plain_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b))
}

#[cold]
fn program(text: String) -> Error {
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}

impl Display for Fault {
    #[inline]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.what, f)
    }
}

impl StdError for Fault {}
