//! `_("…")` and `locale`: the language of the request in templates.

use std::{
    fmt::{self, Display},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Object, ObjectRepr, from_args},
};

use super::Templates;
use crate::{
    error::Result,
    exchange::Exchange,
    locale::{DateFormat, Locale, fill},
};

/// Adds gettext's functions, under their names in Jinja2's extension for translations.
#[inline]
pub(super) fn add(templates: Templates) -> Templates {
    templates
        .function("_", gettext)
        .function("gettext", gettext)
        .function("ngettext", ngettext)
        .function("pgettext", pgettext)
        .function("npgettext", npgettext)
        .value("locale", |exchange| Ok(Value::from_object(LocaleValue(exchange.find_locale()))))
}

/// `{{ _("Hello, %(name)s", name=user.name) }}`
#[inline]
fn gettext(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (message, values): (&str, Kwargs) = from_args(arguments)?;
    fill_in(exchange.find_locale().translate(message), &values, None)
}

/// `{{ ngettext("%(n)d file", "%(n)d files", files|length) }}`
#[inline]
fn ngettext(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (singular, plural, count, values): (&str, &str, u64, Kwargs) = from_args(arguments)?;
    fill_in(exchange.find_locale().translate_plural(singular, plural, count), &values, Some(count))
}

/// `{{ pgettext("law", "right") }}`
#[inline]
fn pgettext(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (context, message, values): (&str, &str, Kwargs) = from_args(arguments)?;
    fill_in(exchange.find_locale().translate_in(context, message), &values, None)
}

/// `{{ npgettext("stick", "%(n)d club", "%(n)d clubs", clubs|length) }}`
#[inline]
fn npgettext(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (context, singular, plural, count, values): (&str, &str, &str, u64, Kwargs) = from_args(arguments)?;
    let locale = exchange.find_locale();
    fill_in(locale.translate_plural_in(context, singular, plural, count), &values, Some(count))
}

/// Fills in what was given by name, and the count as `n`.
#[inline]
fn fill_in(text: &str, values: &Kwargs, count: Option<u64>) -> Result<String> {
    let values = values.args().map(|name| Ok((name, values.get::<Value>(name)?)));
    let values = values.collect::<Result<Vec<_>, Error>>()?;
    let mut pairs: Vec<(&str, &dyn Display)> = values.iter().map(|(name, value)| (*name, value as _)).collect();
    if let Some(count) = &count {
        pairs.push(("n", count));
    }
    Ok(fill(text, &pairs))
}

/// `locale` in a template.
struct LocaleValue(Locale);

impl Object for LocaleValue {
    #[inline]
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    #[inline]
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "code" => Value::from(self.0.code()),
            "language" => Value::from(self.0.language()),
            "tag" => Value::from(self.0.tag()),
            "is_rtl" => Value::from(self.0.is_rtl()),
            _ => return None,
        })
    }

    #[inline]
    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        match method {
            "translate" => {
                let (message,): (&str,) = from_args(arguments)?;
                Ok(Value::from(self.0.translate(message)))
            }
            "friendly_number" => {
                let (number,): (i64,) = from_args(arguments)?;
                Ok(Value::from(self.0.friendly_number(number)))
            }
            "list" => {
                let (parts,): (Vec<Value>,) = from_args(arguments)?;
                Ok(Value::from(self.0.list(&parts)))
            }
            "format_date" => self.format_date(arguments),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    #[inline]
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code())
    }
}

impl LocaleValue {
    /// `{{ locale.format_date(entry.seconds, relative=false) }}`, of seconds since 1970.
    #[inline]
    fn format_date(&self, arguments: &[Value]) -> Result<Value, Error> {
        let (seconds, options): (i64, Kwargs) = from_args(arguments)?;
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let date: Option<SystemTime> =
            if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        let date = date.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no date is that far away"))?;
        let option = |name: &str| options.get::<Option<bool>>(name);
        let format = DateFormat::new()
            .relative(option("relative")?.unwrap_or(true))
            .short(option("short")?.unwrap_or(false))
            .full(option("full")?.unwrap_or(false))
            .utc_offset(options.get::<Option<i32>>("utc_offset")?.unwrap_or(0));
        options.assert_all_used()?;
        Ok(Value::from(self.0.format_date(date, format)))
    }
}

impl fmt::Debug for LocaleValue {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
