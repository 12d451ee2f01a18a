use std::{
    any::{Any, type_name},
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
};

use httpserver::StatusCode;

use crate::{
    application::Application,
    error::{Error, HttpError, Result},
    exchange::Exchange,
};

impl Application {
    /// Says how the user of a request is found: by a session, by a signed cookie, by a header. Tornado's `get_current_user`,
    /// which may wait here.
    ///
    /// Nothing is looked for until [`Exchange::current_user`] or [`LoginRequired`](crate::security::LoginRequired) asks, and
    /// then once per request. Nested applications use this too, unless they have one of their own.
    ///
    /// # Panics
    ///
    /// When it was said before.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange};
    ///
    /// struct User { name: String }
    ///
    /// async fn find_user(exchange: &mut Exchange) -> web::Result<Option<User>> {
    ///     // Here a proxy has checked who it is.
    ///     Ok(exchange.header("X-User").map(|name| User { name: name.to_owned() }))
    /// }
    ///
    /// async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    ///     let user = exchange.current_user::<User>().await?;
    ///     exchange.write_text(format!("Hello, {}", user.as_ref().map_or("stranger", |user| &user.name)));
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new().current_user(find_user).get("/", greet);
    /// # use web::testing::{self, TestClient};
    /// # testing::run(async {
    /// #     let client = TestClient::new(application);
    /// #     client.get("/").send().await.assert_text("Hello, stranger");
    /// #     client.get("/").header("X-User", "ada").send().await.assert_text("Hello, ada");
    /// # });
    /// ```
    #[track_caller]
    #[inline]
    pub fn current_user<U: Any>(self, find: impl AsyncFn(&mut Exchange) -> Result<Option<U>> + 'static) -> Application {
        let finder: Finder<U> = Finder(Box::new(find));
        self.state(finder).state(CurrentUser(Box::new(Presence::<U>(PhantomData))))
    }
}

impl Exchange {
    /// Returns the user of this request, found as the [application says](Application::current_user); `None` when nobody has
    /// signed in. It is looked for once: later calls return what was found.
    ///
    /// # Errors
    ///
    /// 500 when the application does not say how users of this type are found, and what finding them fails with.
    #[inline]
    pub async fn current_user<U: Any>(&mut self) -> Result<Option<Rc<U>>> {
        if let Some(found) = self.extensions().get::<Found<U>>() {
            return Ok(found.0.clone());
        }
        let finder = self.state::<Finder<U>>().map_err(|_| no_finder(type_name::<U>()))?;
        let user = finder.0.find(self).await?.map(Rc::new);
        self.extensions().set(Found(user.clone()));
        Ok(user)
    }

    /// Returns the user of this request if it has been found already, by [`current_user`](Exchange::current_user) or by
    /// [`LoginRequired`](crate::security::LoginRequired): for templates, error pages and logs, which cannot wait.
    #[inline]
    pub fn found_user<U: Any>(&self) -> Option<Rc<U>> {
        self.extensions().get::<Found<U>>()?.0.clone()
    }

    /// Sets the user of this request: after signing in or out, so that the same answer shows it.
    #[inline]
    pub fn set_current_user<U: Any>(&mut self, user: Option<U>) {
        self.extensions().set(Found(user.map(Rc::new)));
    }

    /// Whether there is a user, of whatever type.
    #[inline]
    pub(super) async fn has_current_user(&mut self) -> Result<bool> {
        let finder = self.state::<CurrentUser>().map_err(|_| no_finder("any type"))?;
        finder.0.is_there(self).await
    }
}

/// What was found, in the extensions of a request.
struct Found<U>(Option<Rc<U>>);

/// A future of a call on an exchange.
type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// State of an application: how its users are found.
struct Finder<U>(Box<dyn Find<U>>);

trait Find<U> {
    fn find<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Option<U>>;
}

impl<U, F: AsyncFn(&mut Exchange) -> Result<Option<U>>> Find<U> for F {
    fn find<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Option<U>> {
        Box::pin(self(exchange))
    }
}

/// The same for those who need no more than whether there is a user.
pub(super) struct CurrentUser(Box<dyn IsThere>);

trait IsThere {
    fn is_there<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, bool>;
}

struct Presence<U>(PhantomData<fn() -> U>);

impl<U: Any> IsThere for Presence<U> {
    fn is_there<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, bool> {
        Box::pin(async { Ok(exchange.current_user::<U>().await?.is_some()) })
    }
}

#[cold]
#[inline]
fn no_finder(name: &str) -> Error {
    let text = format!("nothing says how users of {name} are found: use `Application::current_user`");
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}
