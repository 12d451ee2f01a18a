//! What is remembered of a client from one request to the next.

mod memory;
mod place;
mod session;
mod store;

use std::{fmt, rc::Rc, time::Duration};

use httpserver::{Extensions, StatusCode};

pub use self::{memory::MemoryStore, session::Session, store::SessionStore};
use self::{place::Place, session::Opened};
use super::CookieSecret;
use crate::{
    error::{HttpError, Result},
    exchange::Exchange,
    routing::Needs,
    set_cookie::{Cookie, SameSite, check, check_kept, complete},
    wrap::{Next, Wrap},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A [`Wrap`](crate::Wrap) that remembers values of a client from one request to the next:
/// [`Exchange::session`] has them.
///
/// # Where they are kept
///
/// | | [`in_store`](Sessions::in_store) | [`in_cookie`](Sessions::in_cookie) |
/// |---|---|---|
/// | the client has | a random key of 256 bits | the values, signed, which it can read |
/// | room for | 64 KiB | 4096 bytes with signature and names, about 2.8 KB of JSON |
/// | sign-out | ends it everywhere | makes the client forget it; a copy stays good until it expires |
/// | needs | a [`SessionStore`]; [`MemoryStore`] is one | [`Application::cookie_secret`](crate::Application::cookie_secret) |
///
/// # How long
///
/// A session ends when it was not used for a [day](Sessions::idle), and after 30 [days](Sessions::lifetime) in any case. The
/// cookie is one for as long as the browser runs, unless [`cookie`](Sessions::cookie) gives it a `Max-Age`.
///
/// # What it costs
///
/// Until a handler asks for the session, an allocation. Then the cookie is read, and the store is asked once. Nothing is sent
/// and nothing is saved unless something has changed; in a cookie, a session in use is sent anew when a tenth of its idle time
/// is over. An answer that has seen the session gets `Vary: Cookie`.
///
/// Changes are saved when the handler has returned, with an error too, and before the answer leaves. A streamed answer is on
/// its way by then: see [`Session::save`]. If the handler panics, is dropped by a wrap around this one, or the store fails, the
/// changes are given up, and the client keeps the cookie that it has.
///
/// # Several requests at once
///
/// A browser sends several requests at a time. Each reads the session when it first asks and saves it as a whole, so of two
/// that change it at the same time the later one wins; one that changes nothing saves nothing. A session that one of them ends
/// stays ended, whatever the other saves. What has to be counted or spent exactly once belongs into a database.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, security::{MemoryStore, Sessions}};
///
/// async fn visit(exchange: &mut Exchange) -> web::Result<()> {
///     let session = exchange.session().await?;
///     let visits = session.get::<u32>("visits").unwrap_or(0) + 1;
///     session.set("visits", &visits)?;
///     exchange.write_text(format!("visit {visits}"));
///     Ok(())
/// }
///
/// let application = Application::new().get("/", visit).wrap(Sessions::in_store(MemoryStore::new()));
/// # use web::testing::{self, TestClient};
/// # testing::run(async {
/// #     let client = TestClient::new(application);
/// #     client.get("/").send().await.assert_text("visit 1");
/// #     client.get("/").send().await.assert_text("visit 2");
/// #     client.another().get("/").send().await.assert_text("visit 1");
/// # });
/// ```
#[derive(Clone)]
pub struct Sessions {
    settings: Rc<Settings>,
}

#[derive(Clone)]
struct Settings {
    place: Rc<Place>,
    /// Name and attributes.
    cookie: Cookie,
    idle: Duration,
    lifetime: Duration,
}

impl Sessions {
    /// Keeps values in a store; the client has a key to them.
    #[inline]
    pub fn in_store(store: impl SessionStore) -> Sessions {
        Sessions::new(Place::Store(Box::new(store)))
    }

    /// Keeps values with the client, in a cookie that is signed with the application's
    /// [secret](crate::Application::cookie_secret). The client can read them.
    #[inline]
    pub fn in_cookie() -> Sessions {
        Sessions::new(Place::Cookie)
    }

    #[inline]
    fn new(place: Place) -> Sessions {
        let cookie = Cookie::build(("session", "")).secure(true).http_only(true).same_site(SameSite::Lax).path("/");
        let settings = Settings { place: Rc::new(place), cookie, idle: DAY, lifetime: 30 * DAY };
        Sessions { settings: Rc::new(settings) }
    }

    /// Sets name and attributes of the cookie; its value is of no account. What it leaves open is as before: `Secure`,
    /// `HttpOnly`, `SameSite=Lax`, the path `/`.
    ///
    /// Browsers trust `localhost`, so `Secure` is no hindrance there; for plain HTTP elsewhere say `secure(false)`.
    ///
    /// # Panics
    ///
    /// When it cannot be sent, or browsers would drop it: see [`Exchange::set_cookie`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use web::{Cookie, security::Sessions};
    ///
    /// // Stays when the browser is closed, and cannot be planted by another host of the domain.
    /// let month = Duration::from_secs(30 * 24 * 60 * 60);
    /// let sessions = Sessions::in_cookie().cookie(Cookie::build("__Host-session").max_age(month));
    /// ```
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn cookie(mut self, cookie: impl Into<Cookie>) -> Sessions {
        let mut cookie = cookie.into();
        cookie.secure.get_or_insert(true);
        cookie.http_only.get_or_insert(true);
        cookie.same_site.get_or_insert(SameSite::Lax);
        complete(&mut cookie);
        if let Err(reason) = check(&cookie).and_then(|()| check_kept(&cookie)) {
            panic!("the cookie {:?} cannot be set: {reason}", cookie.name());
        }
        Rc::make_mut(&mut self.settings).cookie = cookie;
        self
    }

    /// Sets for how long a session may be left unused; a day by default.
    #[must_use]
    #[inline]
    pub fn idle(mut self, idle: Duration) -> Sessions {
        Rc::make_mut(&mut self.settings).idle = idle;
        self
    }

    /// Sets how long a session lasts however much it is used, from its beginning or its last [rotation](Session::rotate);
    /// 30 days by default.
    #[must_use]
    #[inline]
    pub fn lifetime(mut self, lifetime: Duration) -> Sessions {
        Rc::make_mut(&mut self.settings).lifetime = lifetime;
        self
    }

    /// Whether both are clones of one.
    #[cfg(feature = "testing")]
    pub(crate) fn is_same(&self, other: &Sessions) -> bool {
        Rc::ptr_eq(&self.settings, &other.settings)
    }

    /// Hands `look` the session of the client that has sent the cookies of `exchange`, and saves what it changes. Returns an
    /// answer with what the client has to know. For the test kit.
    #[cfg(feature = "testing")]
    pub(crate) async fn outside<T>(
        &self,
        exchange: &mut Exchange,
        look: impl FnOnce(&Session) -> T,
    ) -> Result<(T, httpserver::Response)> {
        let session = Session::open(Rc::clone(&self.settings), exchange).await?;
        let result = look(&session);
        session.save().await?;
        let mut response = httpserver::Response::html("");
        session.seal(&mut response);
        Ok((result, response))
    }
}

impl Wrap for Sessions {
    #[inline]
    async fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> Result<()> {
        exchange.extensions().set(Rc::clone(&self.settings));
        let mut unsaved = Unsaved(Some(exchange.extensions().clone()));
        let result = next.run(exchange).await;
        let saved = match exchange.extensions().get::<Opened>() {
            Some(session) => session.0.save().await,
            None => Ok(()),
        };
        if saved.is_ok() {
            unsaved.0 = None;
        }
        // An error of the handler says more than that its changes were not saved either.
        result.and(saved)
    }

    #[inline]
    fn needs(&self, needs: &mut Needs) {
        if matches!(*self.settings.place, Place::Cookie) {
            needs.state::<CookieSecret>();
        }
    }
}

/// Gives up what was changed in the session of a request, unless it was saved: the handler has panicked, or was dropped by a
/// wrap further out, which may answer all the same.
struct Unsaved(Option<Extensions>);

impl Drop for Unsaved {
    #[inline]
    fn drop(&mut self) {
        if let Some(session) = self.0.as_ref().and_then(|extensions| extensions.get::<Opened>()) {
            session.0.give_up();
        }
    }
}

impl Exchange {
    /// Returns the session of this client, an empty one if there is none yet: feature `sessions`. See [`Sessions`], the wrap that
    /// this needs.
    ///
    /// The first call of a request reads it, later ones return the same.
    ///
    /// # Errors
    ///
    /// 500 without the wrap, and what the store fails with.
    ///
    /// # Cancel safety
    ///
    /// A dropped future changes nothing.
    #[inline]
    pub async fn session(&mut self) -> Result<Session> {
        if let Some(session) = self.extensions().get::<Opened>() {
            return Ok(session.0.clone());
        }
        let Some(settings) = self.extensions().get::<Rc<Settings>>() else { return Err(no_sessions()) };
        let session = Session::open(Rc::clone(&settings), self).await?;
        self.extensions().set(Opened(session.clone()));
        if self.is_head_sent() {
            session.note_head_sent();
            return Ok(session);
        }
        let sent = session.clone();
        self.on_response(move |response| sent.seal(response));
        Ok(session)
    }
}

#[cold]
#[inline]
fn no_sessions() -> crate::Error {
    let text = "there are no sessions: put `security::Sessions` around the handler";
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}

impl fmt::Debug for Sessions {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("cookie", &self.settings.cookie.name())
            .field("idle", &self.settings.idle)
            .field("lifetime", &self.settings.lifetime)
            .finish_non_exhaustive()
    }
}
