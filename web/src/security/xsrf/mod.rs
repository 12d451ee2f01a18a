//! Tokens without which a form is refused.

#[cfg(feature = "multipart")]
mod multipart;
mod token;

use std::{cell::Cell, rc::Rc};

use httpserver::{Protocol, StatusCode};

use self::token::Token;
use super::{is_safe, random, wall_clock};
use crate::{
    error::{HttpError, Result},
    escape::xhtml_escape,
    exchange::Exchange,
    set_cookie::{Cookie, SameSite},
    wrap::{Next, Wrap},
};

/// The name of the form's field, and of the cookie unless it is given another.
const NAME: &str = "_xsrf";

/// A [`Wrap`](crate::Wrap) that refuses with 403 forms which the site itself has not sent: Tornado's setting `xsrf_cookies`.
///
/// A page of another site can make a browser send a form, with the cookies of the user. What it cannot do is read those
/// cookies. So each form repeats the secret that a cookie holds, in a field `_xsrf` that
/// [`Exchange::xsrf_form_html`] writes, and a script repeats it in a header `X-Xsrftoken` or `X-Csrftoken`. All methods but
/// GET, HEAD, OPTIONS and TRACE are checked, whatever other headers a request has. What needs no check, such as the calls of
/// another server which signs them, belongs to routes outside of the wrap.
///
/// # Where the token is looked for
///
/// In the two headers first, then in the query, then in the form, urlencoded or multipart. An urlencoded form is collected in
/// memory for it, as [`Exchange::form`] does. Of a multipart form (with the feature of that name) no more than the first 64
/// KiB are read ahead, so the field has to come before the files; the handler gets the form as it was sent.
///
/// # The cookie
///
/// It is set when a token is first asked for, and not before. It lasts for the browser's session, its path is `/`, it has
/// `SameSite=Lax` and, over HTTPS, `Secure`; scripts may read it. Set other attributes with [`cookie`](Xsrf::cookie). With a
/// name that begins with `__Host-`, another host of the same domain cannot plant a token of its own.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::Xsrf};
///
/// async fn form(exchange: &mut Exchange) -> web::Result<()> {
///     let token = exchange.xsrf_form_html()?;
///     exchange.write(format!("<form method=post>{token}<input name=text><button>Send</button></form>"));
///     Ok(())
/// }
///
/// async fn take(exchange: &mut Exchange) -> web::Result<()> {
///     let text: String = exchange.argument("text").await?;
///     exchange.write_text(text);
///     Ok(())
/// }
///
/// let application = Application::new().get("/", form).post("/", take).wrap(Xsrf::new());
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     client.post("/").form([("text", "forged")]).send().await.assert_status(403);
/// #     let page = client.get("/").send().await.text().to_owned();
/// #     let token = page.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
/// #     client.post("/").form([("text", "hello"), ("_xsrf", token)]).send().await.assert_text("hello");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Xsrf {
    cookie: Rc<Cookie>,
}

impl Xsrf {
    /// With the cookie described above.
    #[inline]
    pub fn new() -> Xsrf {
        Xsrf { cookie: Rc::new(Cookie::new(NAME, "")) }
    }

    /// Sets name and attributes of the cookie; its value is of no account. Tornado's `xsrf_cookie_name` and
    /// `xsrf_cookie_kwargs`.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Cookie, SameSite, security::Xsrf};
    ///
    /// // For HTTPS alone. `HttpOnly` keeps scripts from reading it; they take the token from the page.
    /// let cookie = Cookie::build("__Host-xsrf").secure(true).http_only(true).same_site(SameSite::Strict);
    /// let xsrf = Xsrf::new().cookie(cookie);
    /// ```
    #[must_use]
    #[inline]
    pub fn cookie(self, cookie: impl Into<Cookie>) -> Xsrf {
        Xsrf { cookie: Rc::new(cookie.into()) }
    }
}

impl Default for Xsrf {
    #[inline]
    fn default() -> Xsrf {
        Xsrf::new()
    }
}

impl Wrap for Xsrf {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        // For the functions of the exchange, which are to use the same cookie.
        exchange.extensions().set(State {
            cookie: Rc::clone(&self.cookie),
            token: Cell::new(None),
            unsent: Cell::new(None),
        });
        if !is_safe(exchange.method()) {
            exchange.check_xsrf().await?;
        }
        next.run(exchange).await
    }
}

/// What is known of the token of one request.
struct State {
    cookie: Rc<Cookie>,
    /// Once one was made.
    token: Cell<Option<Token>>,
    /// What the answer still has to say of it.
    unsent: Cell<Option<Unsent>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsent {
    /// That it depends on the client's cookie.
    Vary,
    /// That, and the cookie itself.
    Cookie,
}

impl Exchange {
    /// Returns the token that forms and scripts of this client have to send: Tornado's `xsrf_token`.
    ///
    /// The text is another one at each call, of the same secret. When the client has no cookie with a token yet, one is set;
    /// a cache must not keep the page for others, so `Vary: Cookie` is added. [`Xsrf`] says what becomes of it. This works
    /// without that wrap too, with its default cookie.
    ///
    /// # Errors
    ///
    /// Once the head has been sent: the cookie and the `Vary` line cannot be.
    #[inline]
    pub fn xsrf_token(&mut self) -> Result<String> {
        self.check_open()?;
        let text = self.masked_xsrf_token()?;
        self.send_xsrf_cookie()?;
        Ok(text)
    }

    /// Returns the hidden field that a form needs, `<input type="hidden" name="_xsrf" value="…"/>`: Tornado's function of the
    /// same name.
    ///
    /// # Errors
    ///
    /// As [`xsrf_token`](Exchange::xsrf_token).
    #[inline]
    pub fn xsrf_form_html(&mut self) -> Result<String> {
        let token = self.xsrf_token()?;
        Ok(format!(r#"<input type="hidden" name="{NAME}" value="{}"/>"#, xhtml_escape(&token)))
    }

    /// The token as text. If it is a new one, the client does not know it before
    /// [`send_xsrf_cookie`](Exchange::send_xsrf_cookie): templates can read an exchange, and not change it.
    #[inline]
    pub(crate) fn masked_xsrf_token(&self) -> Result<String> {
        let state = self.xsrf_state();
        if let Some(token) = state.token.get() {
            return Ok(token.masked(random::bytes()?));
        }
        let known = self.xsrf_cookie(&state);
        let token = match known {
            Some(token) => token,
            None => Token { secret: random::bytes()?, timestamp: wall_clock::seconds(wall_clock::now()) },
        };
        state.token.set(Some(token));
        state.unsent.set(Some(if known.is_some() { Unsent::Vary } else { Unsent::Cookie }));
        Ok(token.masked(random::bytes()?))
    }

    /// Sets what the answer has to have because of a token that was shown, once.
    #[inline]
    pub(crate) fn send_xsrf_cookie(&mut self) -> Result<()> {
        let Some(state) = self.extensions().get::<State>() else { return Ok(()) };
        let (unsent, Some(token)) = (state.unsent.get(), state.token.get()) else { return Ok(()) };
        if unsent.is_none() && self.check_open().is_err() {
            return Ok(());
        }
        self.check_open()?;
        if unsent == Some(Unsent::Cookie) {
            let mut cookie = Cookie::clone(&state.cookie);
            cookie.value = token.masked(random::bytes()?).into();
            cookie.same_site.get_or_insert(SameSite::Lax);
            if self.protocol() == Protocol::Https {
                cookie.secure.get_or_insert(true);
            }
            self.set_cookie(cookie)?;
        }
        // Also if it was set before: an error page has a head of its own, and keeps the cookies alone.
        self.vary_by("Cookie")?;
        state.unsent.set(None);
        Ok(())
    }

    /// Checks that the request repeats the token of its cookie, as [`Xsrf`] does: for routes without that wrap, and for GET
    /// requests that change something. Tornado's `check_xsrf_cookie`.
    ///
    /// # Errors
    ///
    /// 403 when the token is missing, malformed or another one; and, when the form has to be read for it, as
    /// [`form`](Exchange::form).
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Exchange::bytes).
    #[inline]
    pub async fn check_xsrf(&mut self) -> Result<()> {
        let Some(sent) = self.sent_xsrf_token().await? else {
            return Err(refused("'_xsrf' argument missing"));
        };
        let Some(sent) = Token::parse(sent.trim()) else {
            return Err(refused("'_xsrf' argument has invalid format"));
        };
        let state = self.xsrf_state();
        match self.xsrf_cookie(&state) {
            Some(known) if known.is_same(&sent) => Ok(()),
            Some(_) => Err(refused("XSRF cookie does not match '_xsrf' argument")),
            None => Err(refused("XSRF cookie missing")),
        }
    }

    /// The text that was sent as a token, wherever it stands. An empty one is none.
    #[inline]
    async fn sent_xsrf_token(&mut self) -> Result<Option<String>> {
        let headers = ["x-xsrftoken", "x-csrftoken"].into_iter().filter_map(|name| self.header(name));
        if let Some(text) = headers.map(str::to_owned).find(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
        if let Some(text) = self.query_opt::<String>(NAME)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text));
        }
        #[cfg(feature = "multipart")]
        if let Some(text) = self.field_of_multipart(NAME).await? {
            return Ok(Some(text));
        }
        let text: Option<String> = self.form_opt(NAME).await?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The token in the client's cookie.
    #[inline]
    fn xsrf_cookie(&self, state: &State) -> Option<Token> {
        Token::parse(&self.cookie(state.cookie.name())?)
    }

    #[inline]
    fn xsrf_state(&self) -> Rc<State> {
        if let Some(state) = self.extensions().get() {
            return state;
        }
        self.extensions().set(State {
            cookie: Rc::new(Cookie::new(NAME, "")),
            token: Cell::new(None),
            unsent: Cell::new(None),
        });
        self.xsrf_state()
    }
}

/// A token as text, of a secret that nobody has had before. For the test kit.
#[cfg(feature = "testing")]
pub(crate) fn new_token() -> Result<String> {
    let token = Token { secret: random::bytes()?, timestamp: wall_clock::seconds(wall_clock::now()) };
    Ok(token.masked(random::bytes()?))
}

/// Whether the text is that of a token. For the test kit.
#[cfg(feature = "testing")]
pub(crate) fn is_token(text: &str) -> bool {
    Token::parse(text).is_some()
}

#[cold]
#[inline]
fn refused(text: &'static str) -> crate::Error {
    HttpError::new(StatusCode::FORBIDDEN).message(text).into()
}
