//! Names of routes, and the URLs that are made of them.

use std::{cell::RefCell, fmt, rc::Rc};

#[cfg(feature = "regex")]
use super::PathRegex;
use super::{Home, UrlArguments, build_path};
use crate::{
    application::Application,
    error::{Error, Result},
    fixed_paths::{self, FixedPaths},
};

/// The names of an application's routes, from [`Application::route_names`](crate::Application::route_names): for code that
/// makes URLs and has no [`Exchange`](crate::Exchange) at hand, such as a template engine.
///
/// It sees routes that are added later too. Of an application that has been nested it knows all names of the outermost one.
/// A clone is a handle to the same names.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, Route};
///
/// async fn user(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text(exchange.path::<String>("name")?);
///     Ok(())
/// }
///
/// let application = Application::new().add(Route::get("/user/{name}", user).name("user"));
/// let names = application.route_names();
/// assert_eq!(names.reverse_url("user", ["Ada L"])?, "/user/Ada%20L");
/// assert!(names.reverse_url("users", ()).is_err());
/// # Ok::<_, web::Error>(())
/// ```
#[derive(Clone)]
pub struct RouteNames {
    home: Rc<Home>,
}

impl Application {
    /// A handle to the names of this application's routes, for code that makes URLs and has no [`Exchange`](crate::Exchange) at hand.
    #[inline]
    pub fn route_names(&self) -> RouteNames {
        RouteNames::new(self.router.home())
    }
}

impl RouteNames {
    #[inline]
    pub(crate) fn new(home: &Rc<Home>) -> RouteNames {
        RouteNames { home: Rc::clone(home) }
    }

    /// The URL of the route `name`; see [`Exchange::reverse_url`](crate::Exchange::reverse_url).
    ///
    /// # Errors
    ///
    /// As [`Exchange::reverse_url`](crate::Exchange::reverse_url).
    #[inline]
    pub fn reverse_url(&self, name: &str, values: impl UrlArguments) -> Result<String> {
        self.home.reverse_url(name, &values.texts())
    }
}

impl fmt::Debug for RouteNames {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.home.root().names.list.borrow().patterns.iter().map(|(name, pattern)| (name, pattern.text())))
            .finish()
    }
}

impl Home {
    /// The URL of a route of the outermost application.
    #[inline]
    pub(crate) fn reverse_url(&self, name: &str, values: &[String]) -> Result<String> {
        let invalid = |reason| Error::InvalidUrl { route: name.to_owned(), reason };
        let names = self.root().names.list.borrow();
        let pattern = names.get(name).ok_or_else(|| invalid("no route has this name"))?;
        pattern.build_path(values).map_err(invalid)
    }
}

/// The names of routes, with the patterns that they stand for.
#[derive(Default)]
pub(super) struct Names {
    list: RefCell<List>,
}

/// What URLs of a route are made of.
pub(crate) struct UrlPattern {
    text: String,
    /// What the URL has to match, if the route is not the pattern itself.
    #[cfg(feature = "regex")]
    regex: Option<PathRegex>,
}

#[derive(Default)]
struct List {
    patterns: Vec<(String, UrlPattern)>,
    /// Where in the list.
    places: FixedPaths,
}

impl Names {
    #[track_caller]
    #[inline]
    pub(super) fn add(&self, name: &str, pattern: UrlPattern) {
        let mut list = self.list.borrow_mut();
        if let Some(known) = list.get(name) {
            panic!("the name {name:?} has two routes, {:?} and {:?}", known.text(), pattern.text());
        }
        let at = list.patterns.len();
        fixed_paths::insert(&mut list.places, name, at);
        list.patterns.push((name.to_owned(), pattern));
    }

    #[track_caller]
    #[inline]
    pub(super) fn adopt(&self, nested: &Names, prefix: &str) {
        let List { patterns, .. } = nested.list.take();
        for (name, pattern) in patterns {
            self.add(&name, pattern.below(prefix));
        }
    }
}

impl UrlPattern {
    /// Of a route with this pattern.
    #[inline]
    pub(crate) fn new(text: &str) -> UrlPattern {
        UrlPattern {
            text: text.to_owned(),
            #[cfg(feature = "regex")]
            regex: None,
        }
    }

    /// Of a route whose pattern is a regular expression; `None` if it is more than literal text and groups.
    #[cfg(feature = "regex")]
    #[inline]
    pub(crate) fn of_regex(regex: &PathRegex) -> Option<UrlPattern> {
        Some(UrlPattern { text: regex.template()?, regex: Some(regex.clone()) })
    }

    /// The same in an application that was nested below `prefix`.
    #[inline]
    fn below(self, prefix: &str) -> UrlPattern {
        UrlPattern {
            text: format!("{prefix}{}", self.text),
            #[cfg(feature = "regex")]
            // It has been read with this prefix before, as the pattern of the route.
            regex: self.regex.and_then(|regex| PathRegex::parse(&PathRegex::below(prefix, regex.text())).ok()),
        }
    }

    /// As it was written.
    #[inline]
    fn text(&self) -> &str {
        #[cfg(feature = "regex")]
        if let Some(regex) = &self.regex {
            return regex.text();
        }
        &self.text
    }

    #[inline]
    fn build_path(&self, values: &[String]) -> Result<String, &'static str> {
        #[cfg(feature = "regex")]
        if let Some(regex) = &self.regex {
            return regex.build_path(&self.text, values);
        }
        build_path(&self.text, values)
    }
}

impl List {
    #[inline]
    fn get(&self, name: &str) -> Option<&UrlPattern> {
        let at = *self.places.get(name.as_bytes())?;
        self.patterns.get(at).map(|(_, pattern)| pattern)
    }
}
