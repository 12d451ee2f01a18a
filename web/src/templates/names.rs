//! Where a template finds what it names: in the context, in the request, and in other templates.

use std::{borrow::Cow, sync::Arc};

use minijinja::{
    Error, Value,
    value::{Enumerator, Object, ValueKind},
};
use scoped_tls::scoped_thread_local;

use crate::exchange::Exchange;

/// What an exchange has for its templates. The last one of a name counts.
pub(crate) type RequestValues = Vec<(Cow<'static, str>, Value)>;

// The values of the engine can go to other threads, and an exchange cannot. So it is found here, as long as it is lent.
scoped_thread_local!(static EXCHANGE: Exchange);

/// Runs `render`, whose functions and values see `exchange`.
#[inline]
pub(super) fn with_exchange<T>(exchange: &Exchange, render: impl FnOnce() -> T) -> T {
    EXCHANGE.set(exchange, render)
}

/// Hands `look` the exchange whose template is being rendered, if there is one.
#[inline]
pub(super) fn exchange<T>(look: impl FnOnce(Option<&Exchange>) -> T) -> T {
    if EXCHANGE.is_set() { EXCHANGE.with(|exchange| look(Some(exchange))) } else { look(None) }
}

/// The names of a template: those of the context, then those of the request. Globals come behind it.
#[derive(Debug)]
pub(super) struct Names {
    context: Value,
}

impl Names {
    /// # Errors
    ///
    /// When the context could not be serialised.
    #[inline]
    pub(super) fn around(context: Value) -> Result<Value, Error> {
        if context.kind() == ValueKind::Invalid {
            let reason = context.to_string();
            return Err(Error::new(minijinja::ErrorKind::BadSerialization, reason));
        }
        Ok(Value::from_object(Names { context }))
    }
}

impl Object for Names {
    #[inline]
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    #[inline]
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        // An error is a context without names, such as `()`.
        let own = self.context.get_attr(key).ok().filter(|value| !value.is_undefined());
        own.or_else(|| exchange(|exchange| of_request(exchange?, key)))
    }

    /// For the list of what there is in an error's text.
    #[inline]
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.context.try_iter().map(Iterator::collect).unwrap_or_default())
    }
}

/// What the request has under a name.
#[inline]
fn of_request(exchange: &Exchange, name: &str) -> Option<Value> {
    let value = exchange.template_value(name).or_else(|| exchange.templates()?.value_of(name, exchange));
    #[cfg(feature = "testing")]
    value.iter().for_each(|value| crate::testing::note_value(name, value));
    value
}

/// The name of a template that another one mentions.
///
/// A relative one that leads out of the root stays as it is, and is therefore not found.
#[inline]
pub(super) fn join<'s>(name: &'s str, parent: &'s str) -> Cow<'s, str> {
    let joined = resolve(name, parent);
    #[cfg(feature = "testing")]
    crate::testing::note_part(&joined);
    joined
}

#[inline]
fn resolve<'s>(name: &'s str, parent: &'s str) -> Cow<'s, str> {
    if !name.starts_with("./") && !name.starts_with("../") {
        return Cow::Borrowed(name);
    }
    let mut segments: Vec<&str> = parent.split('/').collect();
    segments.pop();
    for segment in name.split('/') {
        match segment {
            "." => {}
            ".." if segments.pop().is_none() => return Cow::Borrowed(name),
            ".." => {}
            segment => segments.push(segment),
        }
    }
    Cow::Owned(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_names_are_taken_from_the_template_they_stand_in() {
        assert_eq!(join("base.html", "a/b/page.html"), "base.html");
        assert_eq!(join("./part.html", "a/b/page.html"), "a/b/part.html");
        assert_eq!(join("../part.html", "a/b/page.html"), "a/part.html");
        assert_eq!(join("../../part.html", "a/b/page.html"), "part.html");
        assert_eq!(join("../c/./part.html", "a/b/page.html"), "a/c/part.html");
        assert_eq!(join("../../../part.html", "a/b/page.html"), "../../../part.html");
    }
}
