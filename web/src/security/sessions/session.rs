use std::{
    cell::{Cell, RefCell},
    fmt, mem,
    rc::Rc,
};

use httpserver::Response;
use serde_core::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Settings,
    place::{Place, Record, is_key, new_key, to_text},
    store::AnyStore,
};
use crate::{
    error::{Error, Result},
    exchange::Exchange,
    security::{CookieSecret, wall_clock},
    set_cookie::Cookie,
};

/// The values of one client, by name: [`Exchange::session`] has them. See [`Sessions`](super::Sessions).
///
/// A handle: clones are the same session.
///
/// # Examples
///
/// Signing in and out:
///
/// ```
/// use web::Exchange;
///
/// async fn sign_in(exchange: &mut Exchange) -> web::Result<()> {
///     // Check the password here.
///     let session = exchange.session().await?;
///     session.rotate()?;
///     session.set("user", &7)?;
///     exchange.redirect("/")
/// }
///
/// async fn sign_out(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.session().await?.destroy()?;
///     exchange.redirect("/")
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Rc<Inner>,
}

/// The session of a request, in its extensions.
pub(super) struct Opened(pub(super) Session);

struct Inner {
    settings: Rc<Settings>,
    /// Of sessions in cookies.
    secret: Option<Rc<CookieSecret>>,
    /// Under which the store has it.
    key: RefCell<Option<String>>,
    /// Under which the store is to have it: for a session that is new, or was rotated.
    new_key: RefCell<Option<String>>,
    /// Keys of this client whose sessions are to end.
    ended: RefCell<Vec<String>>,
    /// When it began, in seconds since 1970.
    created: Cell<u64>,
    values: RefCell<Map<String, Value>>,
    /// Whether the client has a cookie of this name, good or not.
    has_cookie: bool,
    /// Whether values have changed since they were loaded or saved.
    is_changed: Cell<bool>,
    /// Whether the client is to be sent a cookie.
    is_cookie_due: Cell<bool>,
    /// Whether the head of the answer has been made, so that no cookie can be sent any more.
    is_sealed: Cell<bool>,
    /// Whether the changes that are not saved never will be.
    is_given_up: Cell<bool>,
}

impl Session {
    #[inline]
    pub(super) async fn open(settings: Rc<Settings>, exchange: &mut Exchange) -> Result<Session> {
        let now = wall_clock::now();
        let seconds = wall_clock::seconds(now);
        let name = settings.cookie.name().to_owned();
        let sent = exchange.cookie(&name).map(|value| value.into_owned());
        let has_cookie = sent.is_some();
        let (mut secret, mut key, mut is_cookie_due) = (None, None, false);
        let record = match &*settings.place {
            Place::Cookie => {
                let known = exchange.cookie_secret()?;
                let verified = sent.and_then(|sent| known.verify_timed(&name, &sent, now, settings.idle));
                secret = Some(known);
                verified.and_then(|(value, signed)| {
                    is_cookie_due = seconds.saturating_sub(signed) > settings.idle.as_secs() / 10;
                    Record::parse(&value)
                })
            }
            Place::Store(store) => match sent.filter(|sent| is_key(sent)) {
                Some(sent) => {
                    let text = store.load(&sent, settings.idle).await?;
                    let record = text.and_then(|text| Record::parse(text.as_bytes()));
                    // One that the store does not know is not taken over: somebody else may have chosen it.
                    key = record.is_some().then_some(sent);
                    record
                }
                None => None,
            },
        };
        let is_over = record.as_ref().is_some_and(|record| !record.is_within(settings.lifetime, seconds));
        if is_over && let (Place::Store(store), Some(key)) = (&*settings.place, key.take()) {
            store.remove(&key).await?;
        }
        let record = record.filter(|_| !is_over);
        let is_cookie_due = is_cookie_due && record.is_some();
        let record = record.unwrap_or_else(|| Record { created: seconds, values: Map::new() });
        let inner = Inner {
            settings,
            secret,
            key: RefCell::new(key),
            new_key: RefCell::default(),
            ended: RefCell::default(),
            created: Cell::new(record.created),
            values: RefCell::new(record.values),
            has_cookie,
            is_changed: Cell::new(false),
            is_cookie_due: Cell::new(is_cookie_due),
            is_sealed: Cell::new(false),
            is_given_up: Cell::new(false),
        };
        Ok(Session { inner: Rc::new(inner) })
    }

    /// Returns the value of this name; `None` if there is none. One that is no `T` counts as none: sessions outlive the version
    /// of a program that has begun them.
    #[inline]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.inner.values.borrow().get(name)?.clone();
        serde_json::from_value(value).ok()
    }

    /// Sets the value of this name, of any type that goes into JSON.
    ///
    /// # Errors
    ///
    /// 500: [`Error::SessionTooLarge`] when the session would be longer than there is room for, and nothing is changed then;
    /// [`Error::HeadSent`] when it would need a cookie and the head of a streamed answer has left; and when the value does not
    /// go into JSON.
    #[inline]
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        self.set_value(name, serde_json::to_value(value)?)
    }

    #[inline]
    fn set_value(&self, name: &str, value: Value) -> Result<()> {
        let inner = &*self.inner;
        if inner.values.borrow().get(name) == Some(&value) {
            return Ok(());
        }
        inner.check_changeable()?;
        let replaced = inner.values.borrow_mut().insert(name.to_owned(), value);
        if let Err(error) = inner.check_size().and_then(|()| inner.ensure_key()) {
            let mut values = inner.values.borrow_mut();
            match replaced {
                Some(value) => values.insert(name.to_owned(), value),
                None => values.remove(name),
            };
            return Err(error);
        }
        inner.note_change();
        Ok(())
    }

    /// Removes the value of this name, if there is one. A session without values ends.
    ///
    /// # Errors
    ///
    /// As [`set`](Session::set).
    #[inline]
    pub fn remove(&self, name: &str) -> Result<()> {
        let inner = &*self.inner;
        if !inner.values.borrow().contains_key(name) {
            return Ok(());
        }
        inner.check_changeable()?;
        inner.values.borrow_mut().remove(name);
        inner.note_change();
        Ok(())
    }

    /// Whether there are no values.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.values.borrow().is_empty()
    }

    /// Gives the session another key and ends the old one; the values stay, and the lifetime begins anew. To be called when
    /// somebody signs in, or gets more rights: whoever has planted a session with the user's browser before (session
    /// fixation), or knows its key, does not have the one in which the user signs in.
    ///
    /// # Errors
    ///
    /// [`Error::HeadSent`] when the head of a streamed answer has left.
    #[inline]
    pub fn rotate(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.check_cookie()?;
        if let Place::Store(_) = *inner.settings.place {
            let fresh = new_key()?;
            inner.give_up_key();
            inner.new_key.replace(Some(fresh));
        }
        inner.created.set(wall_clock::seconds(wall_clock::now()));
        inner.note_change();
        inner.is_cookie_due.set(true);
        Ok(())
    }

    /// Ends the session: signing out. The client forgets its cookie, and the store the values. Values that are set afterwards
    /// begin a new one.
    ///
    /// # Errors
    ///
    /// [`Error::HeadSent`] for one in a cookie, when the head of a streamed answer has left.
    #[inline]
    pub fn destroy(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.check_changeable()?;
        inner.values.borrow_mut().clear();
        inner.give_up_key();
        inner.created.set(wall_clock::seconds(wall_clock::now()));
        inner.note_change();
        Ok(())
    }

    /// Saves what has changed to the store, now. This happens by itself when the handler returns; a handler that streams its
    /// answer, or goes on for long, calls it where the changes are to count.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, the changes may have been saved or not; the next call saves them again.
    #[inline]
    pub async fn save(&self) -> Result<()> {
        let inner = &*self.inner;
        let Place::Store(store) = &*inner.settings.place else { return Ok(()) };
        if !inner.is_changed.get() {
            return Ok(());
        }
        // Values that are set meanwhile are changes again.
        inner.is_changed.set(false);
        let unsaved = Unsaved(&inner.is_changed);
        inner.save_to(&**store).await?;
        mem::forget(unsaved);
        Ok(())
    }

    /// The handler has not come to its end, or the store has failed: what is not saved now is not to be told to the client
    /// either.
    #[inline]
    pub(super) fn give_up(&self) {
        self.inner.is_given_up.set(true);
    }

    /// From now on no cookie can be sent.
    #[inline]
    pub(super) fn note_head_sent(&self) {
        self.inner.is_sealed.set(true);
    }

    /// Adds to the head of the answer what the client has to know.
    #[inline]
    pub(super) fn seal(&self, response: &mut Response) {
        let inner = &*self.inner;
        self.note_head_sent();
        // Neither can fail: all of it was checked before.
        let _ = response.append_header("Vary", "Cookie");
        if let Some(cookie) = inner.cookie() {
            let _ = response.append_header("Set-Cookie", cookie.to_string());
        }
    }
}

/// Notes, unless it is forgotten, that changes are not saved: saving them has failed, or was given up.
struct Unsaved<'s>(&'s Cell<bool>);

impl Drop for Unsaved<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl Inner {
    #[inline]
    fn to_text(&self) -> String {
        to_text(self.created.get(), &self.values.borrow())
    }

    #[inline]
    async fn save_to(&self, store: &dyn AnyStore) -> Result<()> {
        let keep = self.settings.idle.min(self.settings.lifetime);
        let (known, new) = (self.key.borrow().clone(), self.new_key.borrow().clone());
        let data = (!self.values.borrow().is_empty()).then(|| self.to_text());
        match (new, known, data) {
            (Some(new), _, Some(data)) => {
                store.insert(&new, data, keep).await?;
                self.new_key.take();
                self.key.replace(Some(new));
            }
            // If another request has ended it meanwhile, it stays ended.
            (None, Some(known), Some(data)) => drop(store.update(&known, data, keep).await?),
            (None, None, Some(_)) => {}
            (_, _, None) => self.give_up_key(),
        }
        loop {
            let ended = self.ended.borrow().last().cloned();
            let Some(ended) = ended else { return Ok(()) };
            store.remove(&ended).await?;
            self.ended.borrow_mut().retain(|known| *known != ended);
        }
    }

    /// Ends what the store has under the present key. The next value begins a session under another one.
    #[inline]
    fn give_up_key(&self) {
        self.new_key.take();
        let known = self.key.take();
        self.ended.borrow_mut().extend(known);
    }

    /// What a session in a cookie is on its way.
    #[inline]
    fn signed(&self) -> String {
        let secret = self
            .secret
            .as_ref()
            .map(|secret| secret.sign(self.settings.cookie.name(), self.to_text(), wall_clock::now()));
        secret.unwrap_or_default()
    }

    /// What is to be sent, if anything.
    #[inline]
    fn cookie(&self) -> Option<Cookie> {
        let mut cookie = self.settings.cookie.clone();
        if self.is_given_up.get() && self.is_changed.get() {
            // The key of an earlier `save`, or nothing: the client goes on with what it has.
            let Place::Store(_) = *self.settings.place else { return None };
            let saved = self.key.borrow().clone().filter(|_| self.is_cookie_due.get())?;
            cookie.value = saved.into();
            return Some(cookie);
        }
        if self.values.borrow().is_empty() {
            cookie.forget();
            // One that the client does not have, it need not forget. One that is no good, it should.
            return self.has_cookie.then_some(cookie);
        }
        if !self.is_cookie_due.get() {
            return None;
        }
        let value = match *self.settings.place {
            Place::Cookie => self.signed(),
            Place::Store(_) => self.new_key.borrow().clone().or_else(|| self.key.borrow().clone())?,
        };
        cookie.value = value.into();
        Some(cookie)
    }

    #[inline]
    fn note_change(&self) {
        self.is_changed.set(true);
        if let Place::Cookie = *self.settings.place {
            self.is_cookie_due.set(true);
        }
    }

    /// Whether values can change.
    #[inline]
    fn check_changeable(&self) -> Result<()> {
        match *self.settings.place {
            Place::Cookie => self.check_cookie(),
            Place::Store(_) => Ok(()),
        }
    }

    /// Whether a cookie can be sent.
    #[inline]
    fn check_cookie(&self) -> Result<()> {
        if self.is_sealed.get() { Err(Error::HeadSent) } else { Ok(()) }
    }

    #[inline]
    fn check_size(&self) -> Result<()> {
        let limit = self.settings.place.limit();
        let length = match *self.settings.place {
            Place::Cookie => self.settings.cookie.name().len() + self.signed().len(),
            Place::Store(_) => self.to_text().len(),
        };
        if length > limit { Err(Error::SessionTooLarge { limit }) } else { Ok(()) }
    }

    /// Sees to it that the store has a key to keep values under.
    #[inline]
    fn ensure_key(&self) -> Result<()> {
        let is_needed = matches!(*self.settings.place, Place::Store(_))
            && self.key.borrow().is_none()
            && self.new_key.borrow().is_none();
        if is_needed {
            self.check_cookie()?;
            self.new_key.replace(Some(new_key()?));
            self.is_cookie_due.set(true);
        }
        Ok(())
    }
}

/// Names alone: values may be secrets.
impl fmt::Debug for Session {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.inner.values.borrow();
        f.debug_struct("Session").field("names", &values.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_hour_is_an_hour() {
        let record = Record { created: 1_000, values: Map::new() };
        assert!(record.is_within(Duration::from_secs(3600), 4_599));
        assert!(!record.is_within(Duration::from_secs(3600), 4_600));
        assert!(record.is_within(Duration::from_secs(3600), 0));
    }
}
