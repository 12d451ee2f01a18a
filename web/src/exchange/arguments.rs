//! Arguments: of the path, the query and forms.

use std::borrow::Cow;

use httpserver::httputil::Arguments;

use super::Exchange;
use crate::{
    error::Result,
    from_text::FromText,
    input::{self, Source},
};

impl Exchange {
    /// Returns the parameter `{name}` of the route's path, percent-decoded and parsed: `exchange.path::<u64>("id")?`.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8 or does not parse as `T`. A parameter that the route's pattern does not have is a mistake
    /// in the program: 500, and a log line that names parameter and pattern.
    pub fn path<T: FromText>(&self, name: &str) -> Result<T> {
        input::parse(Source::Path, name, &self.path_param(name)?)
    }

    /// Returns the parameter `{name}` of the route's path, or `None` when the route does not have it: for a handler of
    /// several routes, such as `/notes` and `/notes/{id}`.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8 or does not parse as `T`.
    #[inline]
    pub fn path_opt<T: FromText>(&self, name: &str) -> Result<Option<T>> {
        if !self.has_path_param(name) {
            return Ok(None);
        }
        input::optional(Source::Path, name, Some(self.path_param(name)?))
    }

    /// Returns the argument `name` of the query string, decoded and parsed: `exchange.query::<u32>("page")?`. If there are
    /// several, the last one counts.
    ///
    /// Text is returned as it was sent, with the white space and the control characters in it. What does not parse as `T`
    /// is parsed once more without the white space around it; if nothing is left then, the argument counts as missing.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, is not UTF-8 or does not parse as `T`, and when there are too many arguments.
    pub fn query<T: FromText>(&self, name: &str) -> Result<T> {
        input::required(Source::Argument, name, self.query_arguments()?.get(name)?)
    }

    /// Returns the argument `name` of the query string, or `None` when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`, and when there are too many arguments.
    pub fn query_opt<T: FromText>(&self, name: &str) -> Result<Option<T>> {
        input::optional(Source::Argument, name, self.query_arguments()?.get(name)?)
    }

    /// Returns the argument `name` of the query string, or `default` when it is missing: `exchange.query_or("page", 1)?`.
    ///
    /// # Errors
    ///
    /// 400 when it is there and does not parse as `T`, and when there are too many arguments.
    #[inline]
    pub fn query_or<T: FromText>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.query_opt(name)?.unwrap_or(default))
    }

    /// Returns all values of the argument `name` of the query string, in order; none when it is missing.
    ///
    /// # Errors
    ///
    /// 400 when one of them does not parse as `T`, and when there are too many arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// // GET /notes?tag=sea&tag=sky
    /// async fn notes(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let tags: Vec<String> = exchange.query_all("tag")?;
    ///     exchange.write_text(tags.join(" and "));
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn query_all<T: FromText>(&self, name: &str) -> Result<Vec<T>> {
        input::parse_all(Source::Argument, name, self.query_arguments()?.get_all(name)?)
    }

    /// Returns all arguments of the query string.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS).
    #[inline]
    pub fn query_arguments(&self) -> Result<Arguments<'_>> {
        Ok(self.request.query_arguments()?)
    }

    /// Returns the argument `name` of the urlencoded form in the body, decoded and parsed as [`query`](Exchange::query)
    /// does. If there are several, the last one counts. A body that is something else has no arguments, and is left alone.
    ///
    /// For a form with files see `form_data`, of the feature `multipart`.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, is not UTF-8 or does not parse as `T`, and those of
    /// [`form_arguments`](Exchange::form_arguments).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn form<T: FromText>(&mut self, name: &str) -> Result<T> {
        input::required(Source::Argument, name, self.form_arguments().await?.get(name)?)
    }

    /// Returns the argument `name` of the form as [`form`](Exchange::form) does, or `None` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`form`](Exchange::form), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn form_opt<T: FromText>(&mut self, name: &str) -> Result<Option<T>> {
        input::optional(Source::Argument, name, self.form_arguments().await?.get(name)?)
    }

    /// Returns the argument `name` of the form as [`form`](Exchange::form) does, or `default` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`form`](Exchange::form), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn form_or<T: FromText>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.form_opt(name).await?.unwrap_or(default))
    }

    /// Returns all values of the argument `name` of the form, in order; none when it is missing.
    ///
    /// # Errors
    ///
    /// As [`form`](Exchange::form), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn form_all<T: FromText>(&mut self, name: &str) -> Result<Vec<T>> {
        input::parse_all(Source::Argument, name, self.form_arguments().await?.get_all(name)?)
    }

    /// Returns all arguments of the urlencoded form in the body; none if the body is something else.
    ///
    /// The form is parsed once. Later calls, and those of [`form`](Exchange::form) and [`argument`](Exchange::argument),
    /// search what was found then.
    ///
    /// # Errors
    ///
    /// 400 when there are more than [`MAX_ARGUMENTS`](crate::MAX_ARGUMENTS), 415 for a form with a `Content-Encoding`, and
    /// as [`bytes`](Exchange::bytes).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn form_arguments(&mut self) -> Result<Arguments<'_>> {
        if !self.request.is_form()? {
            return Ok(Arguments::parse(&[])?);
        }
        self.collect().await?;
        let Exchange { request, extras, .. } = self;
        let body = request.body_mut().as_bytes().unwrap_or_default();
        let form = &mut extras.get_or_insert_default().form;
        let index = match form.take() {
            Some(index) => index,
            None => Arguments::parse(body)?.index(),
        };
        Ok(Arguments::with_index(body, form.insert(index)))
    }

    /// Returns the argument `name` of the form in the body, or of the query string when the form does not have it: Tornado's
    /// `get_argument`. If there are several, the last one counts.
    ///
    /// Reads the body if it is an urlencoded form, and leaves any other body alone.
    ///
    /// # Errors
    ///
    /// As [`query`](Exchange::query) and [`form`](Exchange::form).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn argument<T: FromText>(&mut self, name: &str) -> Result<T> {
        let text = self.form_arguments().await?.get(name)?;
        match text {
            Some(text) => input::parse(Source::Argument, name, &text),
            None => self.query(name),
        }
    }

    /// Returns the argument `name` as [`argument`](Exchange::argument) does, or `None` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Exchange::argument), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    pub async fn argument_opt<T: FromText>(&mut self, name: &str) -> Result<Option<T>> {
        let text = self.form_arguments().await?.get(name)?;
        match text {
            Some(text) => input::optional(Source::Argument, name, Some(text)),
            None => self.query_opt(name),
        }
    }

    /// Returns the argument `name` as [`argument`](Exchange::argument) does, or `default` when it is missing.
    ///
    /// # Errors
    ///
    /// As [`argument`](Exchange::argument), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn argument_or<T: FromText>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.argument_opt(name).await?.unwrap_or(default))
    }

    /// Returns all values of the argument `name`, those of the query string before those of the form, as Tornado does.
    ///
    /// # Errors
    ///
    /// As [`argument`](Exchange::argument), but for a missing one.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn argument_all<T: FromText>(&mut self, name: &str) -> Result<Vec<T>> {
        let mut values = self.query_all(name)?;
        values.extend(self.form_all::<T>(name).await?);
        Ok(values)
    }

    /// Whether the route has this parameter.
    #[inline]
    pub(crate) fn has_path_param(&self, name: &str) -> bool {
        self.places().raw(name, self.info(), self.request.path_bytes()).is_some()
    }

    /// The parameter of the route's path, decoded.
    #[inline]
    pub(super) fn path_param(&self, name: &str) -> Result<Cow<'_, str>> {
        self.places().decoded(name, self.info(), self.request.path_bytes())
    }
}
