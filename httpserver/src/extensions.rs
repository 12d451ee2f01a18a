use std::{
    any::{Any, TypeId},
    cell::RefCell,
    fmt,
    rc::Rc,
};

/// Values that travel with a request, at most one of each type.
///
/// A wrap leaves what it found out, a handler takes it: the user who signed in, the pattern that matched, a trace. Clones
/// are the same set.
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
    /// Shared, so that they can be read while a handler holds the request.
    values: Rc<RefCell<Vec<Value>>>,
}

/// A handful per request: searched in a row.
type Value = (TypeId, Rc<dyn Any>);

impl Extensions {
    /// Sets the value of type `T`, in place of the one there was.
    pub fn set<T: Any>(&self, value: T) {
        // A destructor may use these values: it has to run when the borrow has ended.
        let replaced = self.remove::<T>();
        self.values.borrow_mut().push((TypeId::of::<T>(), Rc::new(value)));
        drop(replaced);
    }

    /// The value of type `T`.
    pub fn get<T: Any>(&self) -> Option<Rc<T>> {
        let values = self.values.borrow();
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Rc::clone(value).downcast().ok()
    }

    /// Takes the value of type `T` away.
    pub fn remove<T: Any>(&self) -> Option<Rc<T>> {
        let mut values = self.values.borrow_mut();
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        values.swap_remove(at).1.downcast().ok()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({} values)", self.values.borrow().len())
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
}
