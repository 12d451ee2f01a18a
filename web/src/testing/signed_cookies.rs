//! Cookies that are signed with the keys of the application.

use std::{rc::Rc, time::Duration};

use super::TestClient;
use crate::security::{CookieSecret, wall_clock};

/// How old a signed cookie may be, as for [`Exchange::signed_cookie`](crate::Exchange::signed_cookie).
const MAX_AGE: Duration = Duration::from_secs(31 * 24 * 60 * 60);

impl TestClient {
    /// Sets the keys of [`set_signed_cookie`](TestClient::set_signed_cookie) and [`signed_cookie`](TestClient::signed_cookie),
    /// which are those of the application by default: for a nested application that has its own, and for a client
    /// [of a server](TestClient::with_server). The application is not changed.
    ///
    /// # Panics
    ///
    /// As [`CookieSecret::new`].
    #[must_use]
    #[track_caller]
    pub fn cookie_secret(self, secret: impl Into<CookieSecret>) -> TestClient {
        self.inner.settings.borrow_mut().keys.secret = Some(Rc::new(secret.into()));
        self
    }

    /// The value of a signed cookie that the client keeps, if its signature is good and it is not older than 31 days.
    ///
    /// # Panics
    ///
    /// When no keys are known.
    #[track_caller]
    pub fn signed_cookie(&self, name: &str) -> Option<String> {
        let value = self.secret().verify(name, &self.cookie(name)?, wall_clock::now(), MAX_AGE)?;
        String::from_utf8(value).ok()
    }

    /// Keeps a cookie that is signed with the application's keys, as if the application had set it: for example that of a user
    /// who has signed in.
    ///
    /// # Panics
    ///
    /// When no keys are known.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, testing::{self, TestClient}};
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let user = exchange.signed_cookie("user")?;
    ///     exchange.write_text(format!("Hello, {}", user.as_deref().unwrap_or("stranger")));
    ///     Ok(())
    /// }
    ///
    /// testing::run(async {
    ///     let client = TestClient::new(Application::new().get("/", greet).cookie_secret("of a test"));
    ///     client.get("/").send().await.assert_text("Hello, stranger");
    ///     client.set_signed_cookie("user", "ada");
    ///     client.get("/").send().await.assert_text("Hello, ada");
    /// });
    /// ```
    #[track_caller]
    pub fn set_signed_cookie(&self, name: &str, value: &str) {
        let signed = self.secret().sign(name, value, wall_clock::now());
        self.set_cookie(name, &signed);
    }

    #[track_caller]
    fn secret(&self) -> Rc<CookieSecret> {
        // No closure: a panic in it would not be at the line of the caller.
        let known = self.inner.settings.borrow().keys.secret.clone();
        match known {
            Some(secret) => secret,
            None => {
                panic!("the application has no secret for signed cookies: name one with `TestClient::cookie_secret`")
            }
        }
    }
}
