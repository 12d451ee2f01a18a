use std::{
    any::{Any, TypeId},
    cell::RefCell,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use iostream::ioloop::{Printable, panic_message, report_failure};

/// Values that travel with a request, at most one of each type.
///
/// A wrap stores what it has found out, such as the user who signed in or the id of a trace, and the service inside it
/// reads that. Clones are handles to the same set.
///
/// Whatever is left at the end is dropped with the last handle. A destructor that panics then is logged, and takes neither
/// the answer nor the other values with it.
///
/// A request without extensions allocates nothing for them; otherwise the set and each value are allocated. A look-up
/// compares the types one by one, so this is for a handful of values.
///
/// # Examples
///
/// ```
/// use httpserver::Request;
///
/// struct User { name: String }
///
/// let request = Request::builder().build()?;
/// request.extensions().set(User { name: "ada".into() });
/// assert_eq!(request.extensions().get::<User>().expect("set above").name, "ada");
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Extensions {
    /// Shared, so that a clone can be read while a handler holds the request.
    values: Rc<Values>,
}

/// The list itself.
#[derive(Default)]
struct Values(RefCell<Vec<Value>>);

/// One entry of the list. Few per request, so the list is searched from front to back.
type Value = (TypeId, Rc<dyn Any>);

impl Extensions {
    /// Stores a value, in place of an earlier one of the same type, which is dropped.
    pub fn set<T: Any>(&self, value: T) {
        // Dropped last: its destructor may use these extensions, so the borrow has to end first.
        let replaced = self.remove::<T>();
        self.values.0.borrow_mut().push((TypeId::of::<T>(), Rc::new(value)));
        drop(replaced);
    }

    /// Returns the value of type `T`; `None` if there is none. The `Rc` keeps the value alive after a
    /// [`remove`](Extensions::remove).
    pub fn get<T: Any>(&self) -> Option<Rc<T>> {
        let values = self.values.0.borrow();
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Rc::clone(value).downcast().ok()
    }

    /// Removes the value of type `T` and returns it; `None` if there is none.
    pub fn remove<T: Any>(&self) -> Option<Rc<T>> {
        let mut values = self.values.0.borrow_mut();
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        values.swap_remove(at).1.downcast().ok()
    }
}

impl Drop for Values {
    #[inline]
    fn drop(&mut self) {
        // In the order of the list. Most requests have none.
        for value in mem::take(self.0.get_mut()) {
            // They are dropped with the request, when its answer may be known and not sent yet.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                let message = Printable::text(panic_message(&*payload));
                report_failure("httpserver", format_args!("panic in the destructor of an extension: {message}"));
            }
        }
    }
}

impl fmt::Debug for Extensions {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({} values)", self.values.0.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let extensions = Extensions::default();
        extensions.set(1u8);
        extensions.set("text");
        extensions.set(2u8);
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&2));
        assert_eq!(extensions.remove::<u8>().as_deref(), Some(&2));
        assert_eq!(extensions.get::<u8>(), None);
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"text"));
    }

    #[test]
    fn a_destructor_may_use_the_values() {
        struct Leaves(Extensions);
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.set(1u8);
            }
        }
        let extensions = Extensions::default();
        extensions.set(Some(Leaves(extensions.clone())));
        extensions.set(None::<Leaves>);
        assert!(extensions.get::<u8>().is_some());
    }

    #[test]
    fn a_destructor_that_panics_takes_nothing_with_it() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in the destructor of an extension");
            }
        }
        let dropped = Rc::new(());
        let extensions = Extensions::default();
        extensions.set(Bomb);
        extensions.set(Rc::clone(&dropped));
        drop(extensions);
        assert_eq!(Rc::strong_count(&dropped), 1);
    }
}
