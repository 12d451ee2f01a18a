//! Answers made by templates.

use std::{borrow::Cow, rc::Rc};

use minijinja::{Value, value::Serde};
use serde_core::Serialize;

use super::{Exchange, Kind};
use crate::{
    error::{Error, Result},
    templates::{Format, Templates},
};

impl Exchange {
    /// Fills in a template of the application and writes it. `context` is what it can name: a struct or map that serde can
    /// serialise, or what [`context!`](crate::templates::context) makes.
    ///
    /// The answer's type follows from the name, unless the handler has set a `Content-Type`: `.html` is HTML, `.xml`,
    /// `.svg`, `.json`, `.js`, `.css` and `.csv` are what they say, and everything else is plain text.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] when there is no such template, when it is malformed, and when it cannot be filled in: 500, with
    /// nothing of it written. [`Error::MissingTemplates`] when the application has none at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::Serialize;
    /// use web::Exchange;
    ///
    /// #[derive(Serialize)]
    /// struct Page {
    ///     title: &'static str,
    ///     lines: Vec<String>,
    /// }
    ///
    /// async fn index(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.render("index.html", Page { title: "Notes", lines: vec!["first".to_owned()] })
    /// }
    /// ```
    #[inline]
    pub fn render<C: Serialize>(&mut self, name: &str, context: C) -> Result<()> {
        self.render_value(name, Value::from(Serde(context)))
    }

    /// Fills in a template and returns it, without writing anything: for a mail, or a part of another page.
    ///
    /// # Errors
    ///
    /// As [`render`](Exchange::render).
    #[inline]
    pub fn render_string<C: Serialize>(&mut self, name: &str, context: C) -> Result<String> {
        let text = self.render_to_string(name, Value::from(Serde(context)))?;
        self.send_what_was_shown()?;
        Ok(text)
    }

    /// Sets what the templates of this request find under a name, unless the context of the call has it: for wraps and
    /// `prepare`. What is the same for all requests is [`Templates::value`].
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, Next};
    ///
    /// async fn theme(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    ///     let theme = exchange.cookie("theme").map_or("light".to_owned(), |theme| theme.to_string());
    ///     exchange.set_template_value("theme", theme);
    ///     next.run(exchange).await
    /// }
    /// ```
    #[inline]
    pub fn set_template_value(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.extras().template_values.push((name.into(), value.into()));
    }

    #[inline]
    fn render_value(&mut self, name: &str, context: Value) -> Result<()> {
        let text = self.render_to_string(name, context)?;
        self.send_what_was_shown()?;
        if let Some(content_type) = Format::of(name).content_type()
            && self.kind == Kind::Html
            && self.check_open().is_ok()
        {
            self.set_header("Content-Type", content_type)?;
        }
        self.write(text);
        Ok(())
    }

    /// Sets what the answer has to have because of what a template has shown. It could read the exchange alone.
    #[inline]
    fn send_what_was_shown(&mut self) -> Result<()> {
        #[cfg(feature = "locales")]
        self.vary_by_language();
        #[cfg(feature = "xsrf")]
        self.send_xsrf_cookie()?;
        Ok(())
    }

    #[inline]
    fn render_to_string(&self, name: &str, context: Value) -> Result<String> {
        let templates = self.templates().ok_or(Error::MissingTemplates)?;
        #[cfg(feature = "debug")]
        if self.is_debug() {
            templates.set_reload(true);
        }
        templates.render(name, context, self)
    }

    /// The templates of the application.
    #[inline]
    pub(crate) fn templates(&self) -> Option<Rc<Templates>> {
        self.state().ok()
    }

    /// What [`set_template_value`](Exchange::set_template_value) was given, for those who look at it all.
    #[cfg(feature = "debug")]
    pub(crate) fn template_texts(&self) -> Vec<(String, String)> {
        let values = self.extras.as_ref().map_or(&[][..], |extras| &extras.template_values);
        values.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
    }

    /// All that [`set_template_value`](Exchange::set_template_value) was given, in its order.
    #[cfg(feature = "testing")]
    pub(crate) fn template_values(&self) -> &[(Cow<'static, str>, Value)] {
        self.extras.as_ref().map_or(&[], |extras| &extras.template_values)
    }

    /// What [`set_template_value`](Exchange::set_template_value) was given under this name.
    #[inline]
    pub(crate) fn template_value(&self, name: &str) -> Option<Value> {
        let values = &self.extras.as_ref()?.template_values;
        values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}
