//! What every template can call.

use std::any::Any;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Rest, Serde, from_args},
};
use serde_core::Serialize;

use super::Templates;
use crate::{error::Result, exchange::Exchange};

/// Adds all that the features have.
#[inline]
pub(super) fn add(templates: Templates) -> Templates {
    let templates = templates.function("reverse_url", reverse_url);
    #[cfg(feature = "xsrf")]
    let templates =
        templates.function("xsrf_form_html", xsrf_form_html).value("xsrf_token", Exchange::masked_xsrf_token);
    #[cfg(feature = "static-urls")]
    let templates = templates.function("static_url", static_url);
    #[cfg(feature = "locales")]
    let templates = super::language::add(templates);
    templates
}

/// `{{ static_url("app.css") }}`
#[cfg(feature = "static-urls")]
#[inline]
fn static_url(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (path,): (&str,) = from_args(arguments)?;
    exchange.static_url(path)
}

/// `{{ xsrf_form_html() }}`
#[cfg(feature = "xsrf")]
#[inline]
fn xsrf_form_html(exchange: &Exchange, _: &[Value]) -> Result<Value> {
    // Digits, letters and bars alone: nothing to escape.
    let token = exchange.masked_xsrf_token()?;
    Ok(Value::from_safe_string(format!(r#"<input type="hidden" name="_xsrf" value="{token}"/>"#)))
}

impl Templates {
    /// Gives templates the user of the request as `current_user`, if it is known: found by
    /// [`Exchange::current_user`](crate::Exchange::current_user), which templates cannot wait for, or by
    /// [`LoginRequired`](crate::security::LoginRequired). Otherwise it is none. So have a wrap around the pages look, as in the
    /// example; one look is kept for the whole request.
    ///
    /// A user that is found without waiting, as by a signed cookie, needs none of this:
    /// `templates.value("current_user", |exchange| exchange.signed_cookie("user"))` is computed when a template names it.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::Serialize;
    /// use web::{Application, Exchange, Next, templates::Templates};
    ///
    /// #[derive(Serialize)]
    /// struct User { name: String }
    ///
    /// async fn find_user(exchange: &mut Exchange) -> web::Result<Option<User>> {
    ///     Ok(exchange.header("X-User").map(|name| User { name: name.to_owned() }))
    /// }
    ///
    /// async fn know_user(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    ///     exchange.current_user::<User>().await?;
    ///     next.run(exchange).await
    /// }
    ///
    /// async fn index(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.render("index.html", ())
    /// }
    ///
    /// let text = "{% if current_user %}Hello, {{ current_user.name }}{% else %}Who are you?{% endif %}";
    /// let templates = Templates::embedded([("index.html", text)])?.current_user::<User>();
    /// let pages = Application::new().get("/", index).wrap(know_user);
    /// let application = Application::new().current_user(find_user).templates(templates).merge(pages);
    /// # use web::testing::{self, TestClient};
    /// # testing::run(async {
    /// #     let client = TestClient::new(application);
    /// #     client.get("/").send().await.assert_text("Who are you?");
    /// #     client.get("/").header("X-User", "ada").send().await.assert_text("Hello, ada");
    /// # });
    /// # Ok::<_, web::Error>(())
    /// ```
    #[inline]
    pub fn current_user<U: Any + Serialize>(self) -> Templates {
        self.value("current_user", |exchange| Ok(exchange.found_user::<U>().map(|user| Value::from(Serde(&*user)))))
    }
}

/// `{{ reverse_url("album", album.id) }}`
#[inline]
fn reverse_url(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (name, Rest(values)): (&str, Rest<Value>) = from_args(arguments)?;
    // It would become an empty text, which is no better.
    if values.iter().any(|value| value.is_undefined() || value.is_none()) {
        let text = format!("a value for the URL of {name:?} is undefined or none");
        return Err(Error::new(ErrorKind::UndefinedError, text).into());
    }
    exchange.reverse_url(name, values)
}
