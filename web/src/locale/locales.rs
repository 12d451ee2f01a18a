//! The languages of an application.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    Locale, accept_language,
    catalog::{Catalog, Rows},
    code::{candidates, normalize},
    gettext::Messages,
};
use crate::{application::Application, error::Result, exchange::Exchange};

/// The languages of an application, and how that of a request is chosen.
///
/// The user's own choice goes first ([`user_locale`](Locales::user_locale), [`cookie`](Locales::cookie)), then what the
/// browser says in `Accept-Language`, then the default. A language for which there is nothing is closest to the one without
/// its country: `en_GB` to `en`.
///
/// # Examples
///
/// ```no_run
/// use web::{Application, locale::Locales};
///
/// // locale/de/LC_MESSAGES/shop.mo, locale/fr/LC_MESSAGES/shop.mo, …
/// let locales = Locales::new("en").gettext_directory("locale", "shop")?.cookie("language");
/// let application = Application::new().locales(locales);
/// # Ok::<_, web::Error>(())
/// ```
#[must_use = "locales do nothing until an application has them"]
pub struct Locales {
    default: String,
    /// The default one is among them.
    all: BTreeMap<String, Locale>,
    choices: Vec<Choice>,
}

impl Application {
    /// Gives the application languages, among which [`Exchange::locale`](crate::Exchange::locale) chooses.
    ///
    /// # Panics
    ///
    /// If the application has locales already.
    #[track_caller]
    #[inline]
    pub fn locales(self, locales: Locales) -> Application {
        self.state(locales)
    }
}

type Choose = dyn Fn(&Exchange) -> Option<String>;

/// A user's own choice.
struct Choice {
    choose: Box<Choose>,
    /// Whether it is made by a cookie, and known to be.
    is_cookie: bool,
}

/// What the locale of a request follows from, and another request of the same URL may have otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Origins {
    pub(crate) cookie: bool,
    pub(crate) browser: bool,
}

impl Locales {
    /// Nothing but the default: the language of the texts in the program, which needs no translations. `en` of a program in
    /// English.
    ///
    /// # Panics
    ///
    /// If the code is none of a language.
    #[track_caller]
    #[inline]
    pub fn new(default: &str) -> Locales {
        let Some(default) = normalize(default) else { panic!("{default:?} is no code of a language, such as \"en\"") };
        let default = Locale::new(default);
        let all = BTreeMap::from([(default.code().to_owned(), default.clone())]);
        Locales { default: default.code().to_owned(), all, choices: Vec::new() }
    }

    /// Adds translations from Tornado's CSV: a text, its translation, and if they differ by number `singular` or `plural`. In
    /// UTF-8, with commas and double quotes. Of several catalogues of a language the last one that has a text counts.
    ///
    /// ```csv
    /// "I love you","Te amo"
    /// "%(name)s liked this","A %(name)s les gustó esto","plural"
    /// "%(name)s liked this","A %(name)s le gustó esto","singular"
    /// ```
    ///
    /// # Errors
    ///
    /// When the code is none of a language, and when a row is malformed; the text names the line.
    #[inline]
    pub fn csv(self, code: &str, text: &str) -> Result<Locales> {
        let rows = Rows::parse(text).map_err(|reason| invalid(format!("translations of {code:?}: {reason}")))?;
        self.add(code, Catalog::Csv(rows))
    }

    /// Adds translations from a catalogue of gettext, in the form that `msgfmt` makes of a `.po` file. In UTF-8. Plurals follow
    /// the rule that the catalogue has.
    ///
    /// # Errors
    ///
    /// When the code is none of a language, and when the file is not in this form.
    #[inline]
    pub fn mo(self, code: &str, file: &[u8]) -> Result<Locales> {
        let messages = Messages::parse(file).map_err(|reason| invalid(format!("catalogue of {code:?}: {reason}")))?;
        self.add(code, Catalog::Gettext(messages))
    }

    /// Adds the files `CODE.csv` of a directory, such as `es.csv` and `pt_BR.csv`. Tornado's `load_translations`.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read, and as [`csv`](Locales::csv).
    #[inline]
    pub fn csv_directory(mut self, directory: impl AsRef<Path>) -> Result<Locales> {
        for path in entries(directory.as_ref())? {
            if path.extension().is_some_and(|extension| extension == "csv")
                && let Some(code) = path.file_stem().and_then(|code| code.to_str())
            {
                let text = fs::read_to_string(&path).map_err(|error| at(&path, error))?;
                self = self.csv(code, &text)?;
            }
        }
        Ok(self)
    }

    /// Adds the files `CODE/LC_MESSAGES/DOMAIN.mo` of a directory. Tornado's `load_gettext_translations`.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read, and as [`mo`](Locales::mo).
    #[inline]
    pub fn gettext_directory(mut self, directory: impl AsRef<Path>, domain: &str) -> Result<Locales> {
        for path in entries(directory.as_ref())? {
            let file = path.join("LC_MESSAGES").join(format!("{domain}.mo"));
            if let Some(code) = path.file_name().and_then(|code| code.to_str())
                && file.is_file()
            {
                self = self.mo(code, &fs::read(&file).map_err(|error| at(&file, error))?)?;
            }
        }
        Ok(self)
    }

    /// Asks `choose` first which language a user wants: from a session, a path, a database that is at hand. Of several the one
    /// added first that says one counts. Tornado's `get_user_locale`.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::locale::Locales;
    ///
    /// // /de/prices is in German, whatever the browser says.
    /// let locales = Locales::new("en").user_locale(|exchange| {
    ///     let first = exchange.request().path().split('/').nth(1)?;
    ///     (first.len() == 2).then(|| first.to_owned())
    /// });
    /// ```
    #[inline]
    pub fn user_locale(mut self, choose: impl Fn(&Exchange) -> Option<String> + 'static) -> Locales {
        self.choices.push(Choice { choose: Box::new(choose), is_cookie: false });
        self
    }

    /// Takes the code in a cookie for the user's choice, as [`user_locale`](Locales::user_locale). Answers that depend on it
    /// get `Vary: Cookie`.
    #[inline]
    pub fn cookie(mut self, name: impl Into<String>) -> Locales {
        let name = name.into();
        let choose = move |exchange: &Exchange| Some(exchange.cookie(&name)?.to_string());
        self.choices.push(Choice { choose: Box::new(choose), is_cookie: true });
        self
    }

    /// The codes for which there is something, the default included, in order.
    #[inline]
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// The first of the codes that is there, with its country or without; otherwise the default. Tornado's `get_closest`.
    #[inline]
    pub fn closest<'c>(&self, codes: impl IntoIterator<Item = &'c str>) -> Locale {
        codes.into_iter().find_map(|code| self.find(code)).unwrap_or_else(|| self.default_locale())
    }

    /// The locale of a request, and what of the request it follows from.
    #[inline]
    pub(crate) fn of_request(&self, exchange: &Exchange) -> (Locale, Origins) {
        let mut origins = Origins::default();
        // Of one language there is no choice.
        let is_open = self.all.len() > 1;
        for choice in &self.choices {
            // A cookie that is missing counts as well: with it the answer would be another one.
            origins.cookie |= choice.is_cookie && is_open;
            if let Some(locale) = (choice.choose)(exchange).and_then(|code| self.find(&code)) {
                return (locale, origins);
            }
        }
        let lines = exchange.headers().get_all("accept-language").filter_map(|line| str::from_utf8(line).ok());
        let wanted = accept_language::wanted(lines);
        (self.closest(wanted), Origins { browser: is_open, ..origins })
    }

    #[inline]
    fn find(&self, code: &str) -> Option<Locale> {
        let code = normalize(code)?;
        candidates(&code).find_map(|code| self.all.get(code)).cloned()
    }

    #[inline]
    fn default_locale(&self) -> Locale {
        self.all.get(&self.default).cloned().unwrap_or_else(|| Locale::new(self.default.clone()))
    }

    #[inline]
    fn add(mut self, code: &str, catalog: Catalog) -> Result<Locales> {
        let code =
            normalize(code).ok_or_else(|| invalid(format!("{code:?} is no code of a language, such as \"en\"")))?;
        let locale = self.all.remove(&code).unwrap_or_else(|| Locale::new(code.clone()));
        self.all.insert(code, locale.with(catalog));
        Ok(self)
    }
}

impl fmt::Debug for Locales {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locales").field("default", &self.default).field("all", &self.all).finish_non_exhaustive()
    }
}

/// In order, so that what comes of them does not depend on the file system.
#[inline]
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let list = || fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = list().map_err(|error| at(directory, error))?;
    paths.sort_unstable();
    Ok(paths)
}

#[inline]
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read translations from {}: {error}", path.display()))
}

#[inline]
fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
