use std::{
    cell::{RefCell, RefMut},
    fmt,
    ops::{Deref, DerefMut},
};

use super::semaphore::{Permit, Semaphore};

/// A value that one task at a time has for itself, also while it waits for something else.
///
/// On one thread that is needed only when the value must stay as it is over an `await`: a connection on which a request
/// and its answer must not be mixed with others, a file that is rewritten in several steps. For everything shorter a
/// [`RefCell`] does. Tasks get the lock in the order in which they came to wait. `Lock<()>` guards a stretch of code.
///
/// A task that panics releases the lock; the value is as it left it.
///
/// # Examples
///
/// One connection for several tasks, on which an answer belongs to the request before it:
///
/// ```
/// use std::{io::{self, ErrorKind, Read, Write}, os::unix::net::UnixStream, rc::Rc, thread};
/// use ioloop::{IOLoop, Ready, Source, spawn, sync::Lock};
///
/// /// Sends a byte and gives the one that comes back.
/// async fn ask(connection: &Lock<Source<UnixStream>>, question: u8) -> io::Result<u8> {
///     // Held over the wait: nobody else writes before the answer is here.
///     let connection = connection.lock().await;
///     connection.get_ref().write_all(&[question])?;
///     let mut answer = [0];
///     loop {
///         connection.readable().await;
///         match connection.get_ref().read_exact(&mut answer) {
///             Err(error) if error.kind() == ErrorKind::WouldBlock => connection.clear(Ready::READABLE),
///             result => return result.map(|()| answer[0]),
///         }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     ours.set_nonblocking(true)?;
///     // The other side: answers each byte with its double.
///     let server = thread::spawn(move || {
///         let mut byte = [0];
///         while theirs.read_exact(&mut byte).is_ok() && theirs.write_all(&[byte[0] * 2]).is_ok() {}
///     });
///     let connection = Rc::new(Lock::new(Source::new(ours)?));
///     let asked = [1, 2, 3].map(|question| {
///         let connection = Rc::clone(&connection);
///         spawn(async move { ask(&connection, question).await })
///     });
///     IOLoop::current().run_sync(async {
///         for (task, expected) in asked.into_iter().zip([2, 4, 6]) {
///             assert_eq!(task.await??, expected);
///         }
///         Ok::<_, Box<dyn std::error::Error>>(())
///     })?;
///     drop(connection);
///     server.join().expect("the server does not panic");
///     Ok(())
/// }
/// ```
pub struct Lock<T: ?Sized = ()> {
    turn: Semaphore,
    /// Borrowed only by who has the turn.
    value: RefCell<T>,
}

impl<T> Lock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Lock<T> {
        Lock { turn: Semaphore::new(1), value: RefCell::new(value) }
    }

    /// The value, when the lock is not needed any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock. The place in line is taken when the future is first polled. A task that waits for a lock which
    /// it holds itself waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, the future leaves no trace. A lock that was handed to it already goes to the next in line.
    pub async fn lock(&self) -> LockGuard<'_, T> {
        let turn = self.turn.acquire().await;
        self.guard(turn)
    }

    /// The lock, if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.turn.try_acquire().map(|turn| self.guard(turn))
    }

    /// Whether a task holds the lock, or has been given it and has not run since.
    pub fn is_locked(&self) -> bool {
        self.turn.available() == 0
    }

    /// The value, without locking: the exclusive borrow shows that the lock is free.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn guard<'l>(&'l self, turn: Permit<'l>) -> LockGuard<'l, T> {
        LockGuard { value: self.value.borrow_mut(), _turn: turn }
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("value", &&self.value).finish_non_exhaustive()
    }
}

/// The value of a [`Lock`], which is released when this is dropped.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct LockGuard<'l, T: ?Sized> {
    // Fields are dropped in this order: the borrow has to end before the next in line is woken.
    value: RefMut<'l, T>,
    _turn: Permit<'l>,
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
