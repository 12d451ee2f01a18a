//! What the application around a handler has for it: URLs of routes, state, the parameters of its host.

use std::{any::Any, rc::Rc};

use httpserver::StatusCode;

use super::Exchange;
use crate::{
    error::{Error, HttpError, Result},
    from_text::FromText,
    input::{self, Source},
    routing::UrlArguments,
};

impl Exchange {
    /// The URL of the route that was given this [name](crate::Route::name), with `values` for its parameters in the order of
    /// its pattern: the path alone, percent-encoded, as it stands in links, redirects and forms. Tornado's function of the
    /// same name.
    ///
    /// The names are those of the outermost application, whose nested ones add theirs with their prefix and the parameters in
    /// it. The URL leads back to that route with the same values, unless another route has the path as fixed text: fixed text
    /// goes before parameters. It never begins with `//`, which a browser would take for another host.
    ///
    /// Costs a look-up by hash and the text.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`], a 500, when no route has the name, the route has more or fewer parameters, or a value cannot be in
    /// a path: an empty one, and one that makes a segment `.` or `..`.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn cover(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let url = exchange.reverse_url("picture", (7, "cover art.png"))?; // /album/7/cover%20art.png
    ///     exchange.redirect(&url)
    /// }
    /// ```
    #[inline]
    pub fn reverse_url(&self, name: &str, values: impl UrlArguments) -> Result<String> {
        self.info().home().reverse_url(name, &values.texts())
    }

    /// The application's [state](crate::Application::state) of this type. A nested application's own goes before that of the
    /// ones around it.
    ///
    /// Costs a comparison for each type of state and nothing else. Handlers that are given it by
    /// [`with_state`](crate::with_state), or say that they need it ([`Route::needs`](crate::Route::needs)), are checked when
    /// the server starts.
    ///
    /// # Errors
    ///
    /// 500 when there is none, with a line in the log that names the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange};
    ///
    /// struct Motto(&'static str);
    ///
    /// async fn index(exchange: &mut Exchange) -> web::Result<()> {
    ///     let motto = exchange.state::<Motto>()?;
    ///     exchange.write_text(motto.0);
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new().state(Motto("Plain is better")).get("/", index);
    /// ```
    #[inline]
    pub fn state<T: Any>(&self) -> Result<Rc<T>> {
        self.info().home().state()
    }

    /// The parameter `name` of the pattern by which the [host](crate::Application::host) was found, in lower case and parsed:
    /// `acme` of `{tenant}.example.org`.
    ///
    /// The client chooses the host: a value says what a request is for, not who it is from.
    ///
    /// # Errors
    ///
    /// 400 when it does not parse as `T`. A parameter that the pattern does not have is a mistake in the program: 500.
    #[inline]
    pub fn host_param<T: FromText>(&self, name: &str) -> Result<T> {
        let host = self.request.host_name().unwrap_or_default();
        let value = self.info().home().host_param(name, host).ok_or_else(|| no_host_param(name))?;
        input::parse(Source::Host, name, &value)
    }
}

/// No client can mend this.
#[cold]
#[inline]
fn no_host_param(name: &str) -> Error {
    let text = format!("the application was not added for hosts with a parameter {name:?}");
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}
