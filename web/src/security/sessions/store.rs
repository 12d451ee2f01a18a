use std::{future::Future, pin::Pin, time::Duration};

use crate::error::Result;

/// Where [`Sessions`](super::Sessions) are kept: a text for each key. [`MemoryStore`](super::MemoryStore) is one; a table of a
/// database or Redis are others.
///
/// A store may wait, and needs not be `Send`. Keys are 43 letters, digits, `-` and `_`. Who can read a key from the store can
/// use the session; a store that others can read should be given a hash of it instead.
///
/// # Examples
///
/// ```
/// use std::{cell::RefCell, collections::HashMap, time::Duration};
/// use web::{Result, security::{SessionStore, Sessions}};
///
/// /// Of a program that runs for a minute: nothing ends.
/// #[derive(Default)]
/// struct Simple(RefCell<HashMap<String, String>>);
///
/// impl SessionStore for Simple {
///     async fn load(&self, key: &str, _keep: Duration) -> Result<Option<String>> {
///         Ok(self.0.borrow().get(key).cloned())
///     }
///
///     async fn insert(&self, key: &str, data: String, _keep: Duration) -> Result<()> {
///         self.0.borrow_mut().insert(key.to_owned(), data);
///         Ok(())
///     }
///
///     async fn update(&self, key: &str, data: String, _keep: Duration) -> Result<bool> {
///         Ok(self.0.borrow_mut().get_mut(key).map(|known| *known = data).is_some())
///     }
///
///     async fn remove(&self, key: &str) -> Result<()> {
///         self.0.borrow_mut().remove(key);
///         Ok(())
///     }
/// }
///
/// let sessions = Sessions::in_store(Simple::default());
/// ```
pub trait SessionStore: 'static {
    /// Returns what is kept under `key`, and keeps it for `keep` from now on: `GETEX` of Redis.
    ///
    /// # Errors
    ///
    /// Become the answer to the request.
    fn load(&self, key: &str, keep: Duration) -> impl Future<Output = Result<Option<String>>>;

    /// Keeps `data` under a new key for `keep`. When a future of this was dropped, the same key may come once more: then what
    /// is there is replaced.
    ///
    /// # Errors
    ///
    /// Become the answer to the request.
    fn insert(&self, key: &str, data: String, keep: Duration) -> impl Future<Output = Result<()>>;

    /// Replaces what is kept under `key` and keeps it for `keep`, if there is something; says whether there was. One that was
    /// removed must not come back: another request has ended the session. `SET` with `XX` of Redis.
    ///
    /// # Errors
    ///
    /// Become the answer to the request.
    fn update(&self, key: &str, data: String, keep: Duration) -> impl Future<Output = Result<bool>>;

    /// Removes what is kept under `key`, if there is something.
    ///
    /// # Errors
    ///
    /// Become the answer to the request.
    fn remove(&self, key: &str) -> impl Future<Output = Result<()>>;
}

/// What an [`AnyStore`] returns.
type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// A [`SessionStore`] of any type.
pub(super) trait AnyStore {
    fn load<'a>(&'a self, key: &'a str, keep: Duration) -> StoreFuture<'a, Option<String>>;
    fn insert<'a>(&'a self, key: &'a str, data: String, keep: Duration) -> StoreFuture<'a, ()>;
    fn update<'a>(&'a self, key: &'a str, data: String, keep: Duration) -> StoreFuture<'a, bool>;
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;
}

impl<S: SessionStore> AnyStore for S {
    fn load<'a>(&'a self, key: &'a str, keep: Duration) -> StoreFuture<'a, Option<String>> {
        Box::pin(SessionStore::load(self, key, keep))
    }

    fn insert<'a>(&'a self, key: &'a str, data: String, keep: Duration) -> StoreFuture<'a, ()> {
        Box::pin(SessionStore::insert(self, key, data, keep))
    }

    fn update<'a>(&'a self, key: &'a str, data: String, keep: Duration) -> StoreFuture<'a, bool> {
        Box::pin(SessionStore::update(self, key, data, keep))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(SessionStore::remove(self, key))
    }
}
