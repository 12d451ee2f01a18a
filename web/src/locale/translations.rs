//! A language, with its translations.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use super::{catalog::Catalog, fill};

/// A language, perhaps that of one country, with the translations into it. Tornado's `Locale`.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Locale {
    inner: Arc<Inner>,
}

struct Inner {
    code: String,
    /// A later one goes before an earlier one.
    catalogs: Vec<Arc<Catalog>>,
}

/// Languages written from right to left.
const RIGHT_TO_LEFT: &[&str] = &["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

impl Locale {
    #[inline]
    pub(super) fn new(code: String) -> Locale {
        Locale { inner: Arc::new(Inner { code, catalogs: Vec::new() }) }
    }

    /// What there is without any locales.
    #[inline]
    pub(crate) fn english() -> Locale {
        Locale::new("en".to_owned())
    }

    /// The same with one more catalogue.
    #[inline]
    pub(super) fn with(&self, catalog: Catalog) -> Locale {
        let mut catalogs = self.inner.catalogs.clone();
        catalogs.push(Arc::new(catalog));
        Locale { inner: Arc::new(Inner { code: self.inner.code.clone(), catalogs }) }
    }

    /// Its name: `en`, `pt_BR`, `zh_Hant`.
    #[inline]
    pub fn code(&self) -> &str {
        &self.inner.code
    }

    /// Its name as HTML and HTTP write it, for `lang="…"` and `Content-Language`: `pt-BR`.
    #[inline]
    pub fn tag(&self) -> String {
        self.code().replace('_', "-")
    }

    /// Its language: `pt` of `pt_BR`.
    #[inline]
    pub fn language(&self) -> &str {
        self.code().split('_').next().unwrap_or_default()
    }

    /// Whether it is written from right to left.
    #[inline]
    pub fn is_rtl(&self) -> bool {
        RIGHT_TO_LEFT.contains(&self.language())
    }

    /// The translation of a text, or the text itself if there is none.
    #[inline]
    pub fn translate<'t>(&'t self, message: &'t str) -> &'t str {
        self.find(None, message, None).unwrap_or(message)
    }

    /// The translation for `count` things: `translate_plural("%(n)d file", "%(n)d files", count)`. Which form that is, the
    /// catalogue knows: gettext's have the rule of their language, CSV has one for 1 and one for everything else. Without a
    /// translation it is `singular` for 1 and `plural` otherwise.
    ///
    /// [`fill`] puts the number in.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::locale::{Locales, fill};
    ///
    /// let german = "\"%(n)d file\",\"%(n)d Datei\",\"singular\"\n\"%(n)d files\",\"%(n)d Dateien\",\"plural\"\n";
    /// let locale = Locales::new("en").csv("de", german)?.closest(["de"]);
    /// let text = locale.translate_plural("%(n)d file", "%(n)d files", 3);
    /// assert_eq!(fill(text, &[("n", &3)]), "3 Dateien");
    /// # Ok::<_, web::Error>(())
    /// ```
    #[inline]
    pub fn translate_plural<'t>(&'t self, singular: &'t str, plural: &'t str, count: u64) -> &'t str {
        let original = if count == 1 { singular } else { plural };
        self.find(None, singular, Some((plural, count))).unwrap_or(original)
    }

    /// [`translate`](Locale::translate) of a text that means something else elsewhere: `translate_in("law", "right")`.
    /// gettext's `pgettext`. CSV has no contexts: there the text is looked up without one.
    #[inline]
    pub fn translate_in<'t>(&'t self, context: &str, message: &'t str) -> &'t str {
        self.find(Some(context), message, None).unwrap_or(message)
    }

    /// [`translate_plural`](Locale::translate_plural) in a context.
    #[inline]
    pub fn translate_plural_in<'t>(&'t self, context: &str, singular: &'t str, plural: &'t str, count: u64) -> &'t str {
        let original = if count == 1 { singular } else { plural };
        self.find(Some(context), singular, Some((plural, count))).unwrap_or(original)
    }

    /// A number with commas between the thousands in English, and without anything in other languages: Tornado's.
    #[inline]
    pub fn friendly_number(&self, number: i64) -> String {
        let digits = number.unsigned_abs().to_string();
        let sign = if number < 0 { "-" } else { "" };
        if !matches!(self.code(), "en" | "en_US") {
            return format!("{sign}{digits}");
        }
        let mut grouped = String::from(sign);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }

    /// `A, B and C`; `A and B`; `A`. The text that is translated is `%(commas)s and %(last)s`.
    #[inline]
    pub fn list<T: Display>(&self, parts: &[T]) -> String {
        let Some((last, others)) = parts.split_last() else { return String::new() };
        if others.is_empty() {
            return last.to_string();
        }
        let comma = if self.language() == "fa" { " \u{648} " } else { ", " };
        let commas = others.iter().map(T::to_string).collect::<Vec<_>>().join(comma);
        fill(self.translate("%(commas)s and %(last)s"), &[("commas", &commas), ("last", last)])
    }

    #[inline]
    fn find(&self, context: Option<&str>, message: &str, plural: Option<(&str, u64)>) -> Option<&str> {
        self.inner.catalogs.iter().rev().find_map(|catalog| catalog.get(context, message, plural))
    }
}

impl fmt::Debug for Locale {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({}, {} catalogues)", self.code(), self.inner.catalogs.len())
    }
}
