//! Cookies that a client can read and cannot change.

mod format;
mod secret;

use std::time::Duration;

use httpserver::{Protocol, StatusCode};

pub use self::secret::CookieSecret;
use super::wall_clock;
use crate::{
    application::Application,
    error::{HttpError, Result},
    exchange::Exchange,
    set_cookie::{Cookie, SameSite},
};

const DAY: u64 = 24 * 60 * 60;

/// How old a signed cookie may be, unless its reader says otherwise: Tornado's value.
const MAX_AGE: Duration = Duration::from_secs(31 * DAY);

/// How long a browser keeps one, unless its attributes say otherwise: Tornado's value.
const KEPT: Duration = Duration::from_secs(30 * DAY);

impl Application {
    /// Sets what [signed cookies](Exchange::set_signed_cookie) are signed with: Tornado's setting of the same name. A nested
    /// application without one uses that of the application around it.
    ///
    /// # Panics
    ///
    /// When there is one already, and as [`CookieSecret::new`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use web::Application;
    ///
    /// // 32 random bytes, from the environment and not from the source: `openssl rand -hex 32`.
    /// let secret = std::env::var("COOKIE_SECRET").expect("COOKIE_SECRET has to be set");
    /// let application = Application::new().cookie_secret(secret);
    /// ```
    #[track_caller]
    #[inline]
    pub fn cookie_secret(self, secret: impl Into<CookieSecret>) -> Application {
        self.state(secret.into())
    }
}

impl Exchange {
    /// Sets a cookie whose value is signed: the client can read it and cannot change it. [`signed_cookie`] reads it again.
    /// The format is Tornado's, version 2.
    ///
    /// Signed is not encrypted. The value goes into the signature with the cookie's name and the time, so it cannot be passed
    /// off as another cookie, and a copy of it is good for 31 days at most. It cannot be revoked before: keep what must end at
    /// once in a session of a store.
    ///
    /// What `cookie` leaves open is set: `HttpOnly`, `SameSite=Lax`, a `Max-Age` of 30 days, and `Secure` when the request
    /// [came by HTTPS](Exchange::protocol). A third is added to the value's length, and some 120 bytes; browsers keep 4096
    /// bytes. Costs one HMAC-SHA-256, about a microsecond.
    ///
    /// # Errors
    ///
    /// 500 when the application has no [secret](Application::cookie_secret), and as [`set_cookie`](Exchange::set_cookie).
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange};
    ///
    /// async fn enter(exchange: &mut Exchange) -> web::Result<()> {
    ///     // Check the password here.
    ///     let name: String = exchange.argument("name").await?;
    ///     exchange.set_signed_cookie(("user", name))
    /// }
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let user = exchange.signed_cookie("user")?;
    ///     exchange.write_text(format!("Hello, {}", user.as_deref().unwrap_or("whoever you are")));
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new()
    ///     .cookie_secret("It's a secret to everybody")
    ///     .post("/enter", enter)
    ///     .get("/", greet);
    /// # use web::testing::{self, TestClient};
    /// # testing::run(async {
    /// #     let client = TestClient::new(application);
    /// #     client.post("/enter").form([("name", "ada")]).send().await.assert_status(200);
    /// #     client.get("/").send().await.assert_text("Hello, ada");
    /// # });
    /// ```
    ///
    /// [`signed_cookie`]: Exchange::signed_cookie
    #[inline]
    pub fn set_signed_cookie(&mut self, cookie: impl Into<Cookie>) -> Result<()> {
        let mut cookie = cookie.into();
        let signed = self.cookie_secret()?.sign(cookie.name(), cookie.value(), wall_clock::now());
        cookie.value = signed.into();
        self.protect(&mut cookie);
        if cookie.expires.is_none() {
            cookie.max_age.get_or_insert(KEPT);
        }
        self.set_cookie(cookie)
    }

    /// Returns the value of a cookie that [`set_signed_cookie`](Exchange::set_signed_cookie) has set; `None` if there is none,
    /// if its signature is not ours or of another name, if it is older than 31 days, or if its value is not UTF-8.
    ///
    /// Anything may stand in a cookie that a client sends. All of it is `None` here, and never an error.
    ///
    /// # Errors
    ///
    /// 500 when the application has no [secret](Application::cookie_secret).
    #[inline]
    pub fn signed_cookie(&self, name: &str) -> Result<Option<String>> {
        self.signed_cookie_within(name, MAX_AGE)
    }

    /// Returns the value of a signed cookie as [`signed_cookie`](Exchange::signed_cookie) does, if it is not older than
    /// `max_age`.
    ///
    /// # Errors
    ///
    /// As [`signed_cookie`](Exchange::signed_cookie).
    #[inline]
    pub fn signed_cookie_within(&self, name: &str, max_age: Duration) -> Result<Option<String>> {
        let secret = self.cookie_secret()?;
        let Some(signed) = self.cookie(name) else { return Ok(None) };
        let value = secret.verify(name, &signed, wall_clock::now(), max_age);
        Ok(value.and_then(|value| String::from_utf8(value).ok()))
    }

    #[inline]
    pub(crate) fn cookie_secret(&self) -> Result<std::rc::Rc<CookieSecret>> {
        self.state().map_err(|_| no_secret())
    }

    /// What a cookie should have that says nothing else.
    #[inline]
    pub(crate) fn protect(&self, cookie: &mut Cookie) {
        cookie.http_only.get_or_insert(true);
        cookie.same_site.get_or_insert(SameSite::Lax);
        if self.protocol() == Protocol::Https {
            cookie.secure.get_or_insert(true);
        }
    }
}

#[cold]
#[inline]
fn no_secret() -> crate::Error {
    let text = "there is no secret for signed cookies: set one with `Application::cookie_secret`";
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}
