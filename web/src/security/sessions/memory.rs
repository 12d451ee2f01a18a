use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use httpserver::IOLoop;

use super::SessionStore;
use crate::error::Result;

/// Sessions in the memory of the program: they are gone when it restarts, and each thread has its own.
///
/// There are 10,000 at most, unless [`max_sessions`](MemoryStore::max_sessions) says otherwise. One more pushes out the one
/// that is nearest to its end, so begin a session when there is something to remember, and not for each visitor. Those that
/// have ended make room first. A session costs some 300 bytes and its values in JSON.
///
/// A handle: clones are the same store.
///
/// # Examples
///
/// ```
/// use web::{Application, security::{MemoryStore, Sessions}};
///
/// let store = MemoryStore::new().max_sessions(1_000);
/// let application = Application::new().wrap(Sessions::in_store(store.clone()));
/// assert_eq!(store.len(), 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    kept: Rc<RefCell<Kept>>,
}

struct Kept {
    sessions: HashMap<Rc<str>, Entry>,
    /// The keys by the end of their sessions. The number tells those apart that end together.
    ends: BTreeMap<End, Rc<str>>,
    next_number: u64,
    max: usize,
}

type End = (Instant, u64);

struct Entry {
    data: String,
    end: End,
}

impl MemoryStore {
    /// An empty store.
    #[inline]
    pub fn new() -> MemoryStore {
        let kept = Kept { sessions: HashMap::new(), ends: BTreeMap::new(), next_number: 0, max: 10_000 };
        MemoryStore { kept: Rc::new(RefCell::new(kept)) }
    }

    /// Sets how many sessions there may be; 10,000 by default. At least one.
    #[must_use]
    #[inline]
    pub fn max_sessions(self, max: usize) -> MemoryStore {
        self.kept.borrow_mut().max = max.max(1);
        self
    }

    /// How many sessions there are.
    #[inline]
    pub fn len(&self) -> usize {
        let mut kept = self.kept.borrow_mut();
        kept.drop_ended(IOLoop::current().time());
        kept.sessions.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends all of them.
    #[inline]
    pub fn clear(&self) {
        let mut kept = self.kept.borrow_mut();
        kept.sessions.clear();
        kept.ends.clear();
    }

    /// Has the sessions that have not ended.
    #[inline]
    fn with<R>(&self, keep: Duration, run: impl FnOnce(&mut Kept, Instant) -> R) -> R {
        let now = IOLoop::current().time();
        let mut kept = self.kept.borrow_mut();
        kept.drop_ended(now);
        // Beyond what the clock can count nothing ends anyway.
        run(&mut kept, now.checked_add(keep).unwrap_or(now + 100 * 365 * super::DAY))
    }
}

impl Default for MemoryStore {
    #[inline]
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl SessionStore for MemoryStore {
    #[inline]
    async fn load(&self, key: &str, keep: Duration) -> Result<Option<String>> {
        Ok(self.with(keep, |kept, end| {
            let data = kept.sessions.get(key)?.data.clone();
            kept.keep_until(key, end);
            Some(data)
        }))
    }

    #[inline]
    async fn insert(&self, key: &str, data: String, keep: Duration) -> Result<()> {
        self.with(keep, |kept, end| {
            kept.remove(key);
            while kept.sessions.len() >= kept.max {
                kept.drop_first();
            }
            let (key, end) = (Rc::from(key), (end, kept.number()));
            kept.ends.insert(end, Rc::clone(&key));
            kept.sessions.insert(key, Entry { data, end });
        });
        Ok(())
    }

    #[inline]
    async fn update(&self, key: &str, data: String, keep: Duration) -> Result<bool> {
        Ok(self.with(keep, |kept, end| match kept.sessions.get_mut(key) {
            Some(entry) => {
                entry.data = data;
                kept.keep_until(key, end);
                true
            }
            None => false,
        }))
    }

    #[inline]
    async fn remove(&self, key: &str) -> Result<()> {
        self.with(Duration::ZERO, |kept, _| kept.remove(key));
        Ok(())
    }
}

impl Kept {
    #[inline]
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    #[inline]
    fn keep_until(&mut self, key: &str, end: Instant) {
        let end = (end, self.number());
        if let Some(entry) = self.sessions.get_mut(key) {
            let key = self.ends.remove(&entry.end);
            entry.end = end;
            self.ends.extend(key.map(|key| (end, key)));
        }
    }

    #[inline]
    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.sessions.remove(key) {
            self.ends.remove(&entry.end);
        }
    }

    #[inline]
    fn drop_first(&mut self) {
        if let Some((_, key)) = self.ends.pop_first() {
            self.sessions.remove(&key);
        }
    }

    #[inline]
    fn drop_ended(&mut self, now: Instant) {
        while self.ends.first_key_value().is_some_and(|((end, _), _)| *end <= now) {
            self.drop_first();
        }
    }
}

/// Without keys and values.
impl fmt::Debug for MemoryStore {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.kept.borrow().sessions.len()).finish_non_exhaustive()
    }
}
