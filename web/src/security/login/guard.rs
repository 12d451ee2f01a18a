use std::borrow::Cow;

use httpserver::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::current_user::CurrentUser;
use crate::{
    error::{Error, Result},
    exchange::Exchange,
    routing::Needs,
    wrap::{Next, Wrap},
};

/// A [`Wrap`](crate::Wrap) that lets nobody through who has not signed in: Tornado's `@authenticated`.
///
/// Who has is what [`Application::current_user`](crate::Application::current_user) finds. Others are sent to the login page
/// with a 302 if they ask with GET or HEAD, and get a 403 otherwise. The login page is told where to go on by the argument
/// `next`, which it has to look at with [`safe_next`](super::safe_next): anybody can make a link to it.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::LoginRequired};
///
/// async fn find_user(exchange: &mut Exchange) -> web::Result<Option<String>> {
///     Ok(exchange.header("X-User").map(str::to_owned))
/// }
///
/// async fn account(exchange: &mut Exchange) -> web::Result<()> {
///     let user = exchange.found_user::<String>().expect("nobody else gets here");
///     exchange.write_text(format!("The account of {user}"));
///     Ok(())
/// }
///
/// let members = Application::new().get("/account", account).wrap(LoginRequired::to("/login"));
/// let application = Application::new().current_user(find_user).nest("/members", members);
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     client.get("/members/account").send().await.assert_redirect("/login?next=%2Fmembers%2Faccount");
/// #     client.get("/members/account").header("X-User", "ada").send().await.assert_text("The account of ada");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct LoginRequired {
    login: Option<Cow<'static, str>>,
}

impl LoginRequired {
    /// Sends to the login page at `url`. An URL with a scheme leads to another site, and is told the whole URL to come back
    /// to. One that has a query is used as it is, without `next`.
    #[inline]
    pub fn to(url: impl Into<Cow<'static, str>>) -> LoginRequired {
        LoginRequired { login: Some(url.into()) }
    }

    /// Sends nobody anywhere: all get a 403. For programs as clients.
    #[inline]
    pub fn forbid() -> LoginRequired {
        LoginRequired { login: None }
    }
}

impl Wrap for LoginRequired {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        if exchange.has_current_user().await? {
            return next.run(exchange).await;
        }
        match &self.login {
            Some(login) if [Method::GET, Method::HEAD].contains(exchange.method()) => {
                exchange.redirect(&with_next(login, exchange))
            }
            _ => Err(Error::http(StatusCode::FORBIDDEN, "Sign in first")),
        }
    }

    #[inline]
    fn needs(&self, needs: &mut Needs) {
        needs.state::<CurrentUser>();
    }
}

/// What `urlencode` of Python leaves alone.
const ARGUMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The login page, told where to go on.
#[inline]
fn with_next<'l>(login: &'l str, exchange: &Exchange) -> Cow<'l, str> {
    let request = exchange.request();
    if login.contains('?') {
        return login.into();
    }
    let next = match has_scheme(login) {
        true => request.full_url(),
        // Not the target as it was sent, which to a proxy is a whole URL.
        false => Some(match request.query() {
            Some(query) => format!("{}?{query}", request.path()),
            None => request.path().to_owned(),
        }),
    };
    match next {
        Some(next) => format!("{login}?next={}", utf8_percent_encode(&next, ARGUMENT)).into(),
        None => login.into(),
    }
}

/// Whether an URL names its scheme (RFC 3986, section 3.1).
#[inline]
fn has_scheme(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}
