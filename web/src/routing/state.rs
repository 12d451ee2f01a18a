//! Values that all handlers of an application share.

use std::{
    any::{Any, TypeId, type_name},
    cell::RefCell,
    marker::PhantomData,
    rc::Rc,
};

use httpserver::StatusCode;

use super::Home;
use crate::{
    application::Application,
    error::{Error, HttpError, Result},
    exchange::Exchange,
    handler::Handler,
};

/// What a handler or wrap needs of its application: the types of state that it asks for. See
/// [`Handler::needs`](crate::Handler::needs).
#[derive(Clone, Debug, Default)]
pub struct Needs {
    types: Vec<(TypeId, &'static str)>,
}

impl Needs {
    /// Says that [`state`](crate::Exchange::state) of this type is asked for.
    #[inline]
    pub fn state<T: Any>(&mut self) -> &mut Needs {
        self.types.push((TypeId::of::<T>(), type_name::<T>()));
        self
    }
}

/// A handler that is given a piece of the application's [state](crate::Application::state) beside the exchange.
///
/// What it needs shows when the server starts: an application that has no such state panics then, with the names of the type
/// and the route. Of several pieces make one type, or ask for the others by [`Exchange::state`](crate::Exchange::state) and
/// say so with [`Route::needs`](crate::Route::needs).
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
///
/// use web::{Application, Exchange, with_state};
///
/// #[derive(Default)]
/// struct Visits(Cell<u64>);
///
/// async fn index(exchange: &mut Exchange, visits: &Visits) -> web::Result<()> {
///     visits.0.set(visits.0.get() + 1);
///     exchange.write_text(format!("visit {}\n", visits.0.get()));
///     Ok(())
/// }
///
/// let application = Application::new().state(Visits::default()).get("/", with_state(index));
/// ```
#[inline]
pub fn with_state<T, F>(function: F) -> impl Handler
where
    T: Any,
    F: AsyncFn(&mut Exchange, &T) -> Result<()> + 'static,
{
    WithState { function, state: PhantomData }
}

struct WithState<T, F> {
    function: F,
    state: PhantomData<fn(&T)>,
}

impl<T, F> Handler for WithState<T, F>
where
    T: Any,
    F: AsyncFn(&mut Exchange, &T) -> Result<()> + 'static,
{
    async fn handle(&self, exchange: &mut Exchange) -> Result<()> {
        let state = exchange.state::<T>()?;
        (self.function)(exchange, &state).await
    }

    fn needs(&self, needs: &mut Needs) {
        needs.state::<T>();
    }
}

impl Application {
    /// Adds a value that all handlers and wraps of this application and of those nested in it share, one of each type:
    /// [`with_state`](crate::with_state) hands it to a function, [`Exchange::state`] to any code. A nested application that has
    /// a value of the same type sees its own.
    ///
    /// Handlers that say what they [need](crate::Handler::needs) are checked when the application begins to serve, in
    /// [`listen`](Application::listen), [`into_server`](Application::into_server) and the first call as a [`Service`](crate::httpserver::Service): what is
    /// missing is a panic with the names of the type and the route.
    ///
    /// # Panics
    ///
    /// If there is a value of this type already.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, with_state};
    ///
    /// struct Motto(&'static str);
    ///
    /// async fn index(exchange: &mut Exchange, motto: &Motto) -> web::Result<()> {
    ///     exchange.write_text(motto.0);
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new().state(Motto("Plain is better")).get("/", with_state(index));
    /// ```
    #[track_caller]
    #[inline]
    pub fn state<T: Any>(self, value: T) -> Application {
        self.router.home().add_state(value);
        self
    }
}

/// The state of an application.
#[derive(Default)]
pub(super) struct State(RefCell<Vec<(TypeId, Rc<dyn Any>)>>);

impl Home {
    /// Adds to the state.
    ///
    /// # Panics
    ///
    /// If there is a value of this type.
    #[track_caller]
    #[inline]
    pub(crate) fn add_state<T: Any>(&self, value: T) {
        let mut state = self.state.0.borrow_mut();
        let is_new = state.iter().all(|(known, _)| *known != TypeId::of::<T>());
        assert!(is_new, "the application has state of type {} already", type_name::<T>());
        state.push((TypeId::of::<T>(), Rc::new(value)));
    }

    /// The state of this type: of the application, or else of the innermost one around it that has some.
    ///
    /// # Errors
    ///
    /// 500 when there is none.
    #[inline]
    pub(crate) fn state<T: Any>(&self) -> Result<Rc<T>> {
        let found = self.find_state(TypeId::of::<T>()).and_then(|value| value.downcast().ok());
        found.ok_or_else(|| no_state(type_name::<T>()))
    }

    /// The first need, by the name of its type, that neither this application nor one around it has.
    #[inline]
    pub(crate) fn lacks(&self, needs: &Needs) -> Option<&'static str> {
        needs.types.iter().find(|(id, _)| self.find_state(*id).is_none()).map(|(_, name)| *name)
    }

    #[inline]
    fn find_state(&self, id: TypeId) -> Option<Rc<dyn Any>> {
        let mut around = std::iter::successors(Some(self), |home| home.outer.get().map(|outer| &**outer));
        around.find_map(|home| {
            let state = home.state.0.borrow();
            state.iter().find(|(known, _)| *known == id).map(|(_, value)| Rc::clone(value))
        })
    }
}

/// No client can mend this.
#[cold]
#[inline]
fn no_state(name: &str) -> Error {
    let text = format!("there is no state of type {name}: add it with `Application::state`");
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
}
