//! Templates: pages made of text with gaps. Feature `templates`.
//!
//! [`Templates`] holds the templates of an application, from a directory or from the binary. [`Exchange::render`] fills
//! one in and writes it. The language is Jinja2's, by the crate [`minijinja`]; what Tornado's users miss from theirs is
//! mostly spelt the same.
//!
//! # Examples
//!
//! ```
//! use web::{Application, Exchange, templates::{Templates, context}};
//!
//! async fn hello(exchange: &mut Exchange) -> web::Result<()> {
//!     let name: String = exchange.query("name")?;
//!     exchange.render("hello.html", context! { name })
//! }
//!
//! let templates = Templates::embedded([("hello.html", "<p>Hello, {{ name }}</p>")])?;
//! let application = Application::new().get("/", hello).templates(templates);
//! # web::testing::run(async {
//! #     let client = web::testing::TestClient::new(application);
//! #     client.get("/?name=%3Cb%3E").send().await.assert_text("<p>Hello, &lt;b&gt;</p>");
//! # });
//! # Ok::<_, web::Error>(())
//! ```

mod builtin;
mod directory;
mod format;
mod function;
#[cfg(feature = "locales")]
mod language;
mod names;
mod request;

use std::{
    fmt,
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

#[doc(no_inline)]
pub use minijinja::{
    self, Value, context,
    value::{Kwargs, Serde, from_args},
};
use minijinja::{Environment, UndefinedBehavior};

use self::{
    directory::Directory,
    function::{Function, FunctionValue, failure},
    names::Names,
};
pub(crate) use self::{format::Format, names::RequestValues};
use crate::{
    application::Application,
    error::{Error, Result},
    exchange::Exchange,
};

/// The templates of an application, and what they can call.
///
/// # Escaping
///
/// By the name of the template: in `.html`, `.htm`, `.xhtml`, `.xml` and `.svg` everything that `{{ … }}` puts in is
/// escaped, unless the filter `safe` says that it is HTML already. In `.json` and `.js` it becomes a JSON value. Other
/// templates, such as `.txt`, are not escaped, and [`Exchange::render`] does not send them as HTML.
///
/// # What every template has
///
/// | name | is |
/// |---|---|
/// | `_(text, …)`, `ngettext(one, many, count, …)`, `pgettext`, `npgettext` | a text in the request's language (feature `locales`) |
/// | `locale` | that language: `code`, `tag`, `language`, `is_rtl`, `translate`, `friendly_number`, `list`, `format_date` |
/// | `reverse_url(name, …)` | the URL of a route, as [`Exchange::reverse_url`] makes it |
/// | `static_url(path)` | the URL of a static file, with its version (feature `static-urls`) |
/// | `xsrf_form_html()`, `xsrf_token` | the field that a form needs, and the token for a script (feature `xsrf`) |
/// | `request` | the request: `method`, `uri`, `path`, `query`, `host`, `protocol`, `remote_ip`, `headers["User-Agent"]` |
///
/// And what [`function`](Templates::function), [`value`](Templates::value), [`global`](Templates::global) and
/// [`Exchange::set_template_value`] add. The context of the call goes first: a name in it hides one of these.
///
/// A name that nothing has is an error where it is printed, and false in an `{% if %}`.
///
/// # Other templates
///
/// `{% extends "base.html" %}`, `{% include %}` and `{% import %}` name templates from the root. A name that begins with
/// `./` or `../` is taken from the template in which it stands; none leads out of the root.
///
/// # Cost
///
/// A template is compiled when it is first used, and kept. Rendering makes one string, which the answer takes over.
#[must_use = "templates do nothing until an application has them"]
pub struct Templates {
    environment: Environment<'static>,
    functions: Vec<Function>,
    values: Vec<(String, Computed)>,
    /// Whether files are looked at again. Shared with the checks of the templates that were loaded.
    reloads: Arc<AtomicBool>,
    directory: Option<Arc<Directory>>,
}

type Computed = Rc<dyn Fn(&Exchange) -> Result<Value>>;

impl Templates {
    /// No templates, yet: for [`add`](Templates::add).
    #[inline]
    pub fn new() -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|name| Format::of(name).auto_escape());
        environment.set_path_join_callback(names::join);
        // Only an error costs more by this. What it says is shown by the page of `Application::debug` alone.
        environment.set_debug(true);
        environment.add_global("request", Value::from_object(request::RequestValue));
        let (functions, values) = (Vec::new(), Vec::new());
        builtin::add(Templates { environment, functions, values, reloads: Arc::default(), directory: None })
    }

    /// The templates below `directory`, each read when it is first used: `pages/index.html` is `directory/pages/index.html`.
    ///
    /// No name leads out of the directory, by `..`, from the root or through symbolic links: the kernel sees to it, as for
    /// [`StaticFiles`](crate::StaticFiles). Names with a segment that begins with a dot are not found.
    ///
    /// A mistake in a template shows when it is used. To see it when the program starts, call [`check`](Templates::check).
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened, and when the kernel does not have `openat2` (Linux 5.6) or refuses it to this
    /// process. The text names the directory.
    #[inline]
    pub fn from_directory(directory: impl AsRef<Path>) -> Result<Templates> {
        Templates::new().directory(directory.as_ref())
    }

    /// Templates that are part of the program, by name and text. They are compiled now.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when one is malformed; the text names it and the line.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # macro_rules! include_str { ($file:literal) => { "" } }
    /// use web::templates::Templates;
    ///
    /// let templates = Templates::embedded([
    ///     ("base.html", include_str!("../templates/base.html")),
    ///     ("index.html", include_str!("../templates/index.html")),
    /// ])?;
    /// # Ok::<_, web::Error>(())
    /// ```
    #[inline]
    pub fn embedded(templates: impl IntoIterator<Item = (&'static str, &'static str)>) -> Result<Templates> {
        templates.into_iter().try_fold(Templates::new(), |all, (name, text)| all.add(name, text))
    }

    /// Adds a template, or replaces the one of that name, a file's too.
    ///
    /// # Errors
    ///
    /// As [`embedded`](Templates::embedded).
    #[inline]
    pub fn add(mut self, name: &'static str, text: &'static str) -> Result<Templates> {
        self.environment.add_template(name, text).map_err(Error::Template)?;
        Ok(self)
    }

    /// Whether a file is read again when it has changed. False by default: then files are looked at once, and a change
    /// needs a restart. `Application::debug` switches it on.
    ///
    /// Costs the opening of each file that a rendering uses. The old form of a template that has changed stays in memory
    /// until the program ends.
    #[inline]
    pub fn reload(self, on: bool) -> Templates {
        self.set_reload(on);
        self
    }

    /// Reads and compiles every file of the directory, so that a mistake in one shows when the program starts, or in a test.
    /// Files of types that are no text, by their name, are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] for the first that is malformed, and when a file cannot be read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use web::templates::Templates;
    /// let templates = Templates::from_directory("templates")?;
    /// templates.check()?;
    /// # Ok::<_, web::Error>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Result<()> {
        let names = self.directory.as_ref().map_or(Ok(Vec::new()), |directory| directory.names())?;
        names.iter().try_for_each(|name| self.environment.get_template(name).map(drop)).map_err(Error::Template)
    }

    /// Adds a function that templates call: `{{ money(12.5, currency="EUR") }}`. It sees the request.
    ///
    /// [`from_args`] takes the arguments apart. A string it returns is escaped; for HTML return
    /// [`Value::from_safe_string`]. A function of the same name, one of those that every template has included, is replaced.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, templates::{Templates, Value, from_args}};
    ///
    /// /// `{{ is_active("/about") }}`
    /// fn is_active(exchange: &Exchange, arguments: &[Value]) -> web::Result<bool> {
    ///     let (path,): (&str,) = from_args(arguments)?;
    ///     Ok(exchange.request().path() == path)
    /// }
    ///
    /// let templates = Templates::new().function("is_active", is_active);
    /// ```
    #[inline]
    pub fn function<V: Into<Value>>(
        self,
        name: &'static str,
        function: impl Fn(&Exchange, &[Value]) -> Result<V> + 'static,
    ) -> Templates {
        self.add_function(name, Rc::new(move |exchange, arguments| Ok(function(exchange, arguments)?.into())))
    }

    /// Adds a value that depends on the request. It is computed whenever a template names it, and never otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::templates::Templates;
    ///
    /// let templates = Templates::new()
    ///     .value("is_local", |exchange| Ok(exchange.remote_ip().is_some_and(|ip| ip.is_loopback())));
    /// ```
    #[inline]
    pub fn value<V: Into<Value>>(
        mut self,
        name: impl Into<String>,
        compute: impl Fn(&Exchange) -> Result<V> + 'static,
    ) -> Templates {
        self.values.push((name.into(), Rc::new(move |exchange| Ok(compute(exchange)?.into()))));
        self
    }

    /// Adds a value that is the same for all requests. [`Serde`] makes one of what serde can serialise.
    #[inline]
    pub fn global(mut self, name: &'static str, value: impl Into<Value>) -> Templates {
        self.environment.add_global(name, value);
        self
    }

    /// Changes the [`Environment`] below: filters, tests, syntax, limits.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::templates::Templates;
    ///
    /// let templates = Templates::new().environment(|environment| {
    ///     environment.add_filter("shout", |text: String| text.to_uppercase());
    /// });
    /// ```
    #[inline]
    pub fn environment(mut self, change: impl FnOnce(&mut Environment<'static>)) -> Templates {
        change(&mut self.environment);
        self
    }

    #[inline]
    fn directory(mut self, path: &Path) -> Result<Templates> {
        let directory = Arc::new(Directory::open(path)?);
        let (files, reloads) = (Arc::clone(&directory), Arc::clone(&self.reloads));
        self.environment.set_loader(move |name| files.load(name, &reloads));
        self.directory = Some(directory);
        Ok(self)
    }

    #[inline]
    pub(crate) fn set_reload(&self, on: bool) {
        self.reloads.store(on, Ordering::Relaxed);
    }

    /// Calls a function by its number. Those of a set of templates are called by these templates alone.
    #[inline]
    fn call(&self, number: usize, exchange: &Exchange, arguments: &[Value]) -> Result<Value> {
        self.functions[number](exchange, arguments)
    }

    #[inline]
    fn add_function(mut self, name: &'static str, function: Function) -> Templates {
        let number = self.functions.len();
        self.functions.push(function);
        self.environment.add_global(name, Value::from_object(FunctionValue { number, name }));
        self
    }

    /// Fills in a template. The functions and values that it uses see `exchange`.
    #[inline]
    pub(crate) fn render(&self, name: &str, context: Value, exchange: &Exchange) -> Result<String> {
        let render = |context| {
            let template = self.environment.get_template(name)?;
            let context = Names::around(context)?;
            names::with_exchange(exchange, || template.render(context))
        };
        #[cfg(feature = "testing")]
        let rendered = {
            let is_template = |name: &str| self.environment.get_template(name).is_ok();
            let kept = context.clone();
            crate::testing::noted(exchange, name, &kept, exchange.template_values(), is_template, || render(context))
        };
        #[cfg(not(feature = "testing"))]
        let rendered = render(context);
        rendered.map_err(Error::Template)
    }

    #[inline]
    fn value_of(&self, name: &str, exchange: &Exchange) -> Option<Value> {
        // The last one of a name counts.
        let (_, compute) = self.values.iter().rev().find(|(known, _)| known == name)?;
        Some(compute(exchange).unwrap_or_else(|error| Value::from(failure(name, error))))
    }
}

impl Application {
    /// Gives the handlers templates for [`Exchange::render`]. A nested application may have its own; one that has none uses
    /// these.
    ///
    /// # Panics
    ///
    /// If the application has templates already.
    #[track_caller]
    #[inline]
    pub fn templates(self, templates: Templates) -> Application {
        self.state(templates)
    }
}

impl Default for Templates {
    #[inline]
    fn default() -> Templates {
        Templates::new()
    }
}

impl fmt::Debug for Templates {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("directory", &self.directory)
            .field("loaded", &self.environment.templates().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
