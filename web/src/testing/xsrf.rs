//! Tokens of forms.

use super::{TestClient, TestRequest, TestResponse};
use crate::security::{is_xsrf_token, new_xsrf_token};

/// The field of a form, and the cookie unless it is given another name.
const NAME: &str = "_xsrf";

impl TestClient {
    /// Sets the name of the cookie with the token, if the application's [`Xsrf`](crate::security::Xsrf) has
    /// [another](crate::security::Xsrf::cookie) than `_xsrf`.
    #[must_use]
    pub fn xsrf_cookie(self, name: &str) -> TestClient {
        name.clone_into(&mut self.inner.settings.borrow_mut().keys.xsrf_cookie);
        self
    }

    /// The token that this client's forms have to send: that of its cookie. If it has none, it gets one, as if it had
    /// been to a page with a form before.
    ///
    /// It goes into a field `_xsrf`, by [`TestRequest::xsrf_form`] or by hand, or into a header, by [`TestRequest::xsrf`].
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, security::Xsrf, testing::{self, TestClient}};
    ///
    /// async fn take(exchange: &mut Exchange) -> web::Result<()> {
    ///     let text: String = exchange.argument("text").await?;
    ///     exchange.write_text(text);
    ///     Ok(())
    /// }
    ///
    /// testing::run(async {
    ///     let client = TestClient::new(Application::new().post("/", take).wrap(Xsrf::new()));
    ///     client.post("/").form([("text", "forged")]).send().await.assert_status(403);
    ///     client.post("/").xsrf_form([("text", "ours")]).send().await.assert_text("ours");
    ///     client.post("/").xsrf().form([("text", "of a script")]).send().await.assert_text("of a script");
    /// });
    /// ```
    pub fn xsrf_token(&self) -> String {
        self.inner.xsrf_token()
    }
}

impl super::client::Inner {
    fn xsrf_token(&self) -> String {
        let (host, name) = (self.host(), self.settings.borrow().keys.xsrf_cookie.clone());
        let name = if name.is_empty() { NAME } else { &name };
        let known = self.cookies.borrow().value(&host, "/", name).filter(|text| is_xsrf_token(text));
        if let Some(known) = known {
            return known;
        }
        let token = new_xsrf_token().expect("the system has random bytes");
        self.cookies.borrow_mut().set(&host, "/", &format!("{name}={token}; Path=/"));
        token
    }
}

impl TestRequest {
    /// Sends the client's [token](TestClient::xsrf_token) in a header, `X-Xsrftoken`, as scripts do: for a body of any kind.
    pub fn xsrf(self) -> TestRequest {
        let token = self.client().xsrf_token();
        self.header("X-Xsrftoken", token)
    }

    /// [`form`](TestRequest::form) with one field more, `_xsrf`: the client's [token](TestClient::xsrf_token).
    pub fn xsrf_form<N: AsRef<[u8]>, V: AsRef<[u8]>>(self, fields: impl IntoIterator<Item = (N, V)>) -> TestRequest {
        let token = self.client().xsrf_token();
        let fields: Vec<(N, V)> = fields.into_iter().collect();
        let fields = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        self.form(fields.chain([(NAME.as_bytes(), token.as_bytes())]))
    }
}

impl TestResponse {
    /// The token in the first form of this page: what the hidden field has that
    /// [`xsrf_form_html`](crate::Exchange::xsrf_form_html) has written. For a test that the page has one.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn xsrf_token(&self) -> &str {
        let field = self.text().split("name=\"_xsrf\" value=\"").nth(1);
        match field.and_then(|field| field.split('"').next()).filter(|text| is_xsrf_token(text)) {
            Some(token) => token,
            None => self.fail(format_args!("expected a form with a field _xsrf")),
        }
    }
}
