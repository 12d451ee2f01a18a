//! Values that live as long as one request.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    fmt,
    rc::Rc,
};

/// Values that belong to one request, at most one of each type. A clone is a handle to the same values.
///
/// `prepare` stores the user it has looked up, `get` reads it, and `on_connection_close` finds there what it has to release.
///
/// # Examples
///
/// ```
/// struct User { name: String }
///
/// # fn handler(exchange: &mut web::Exchange) {
/// exchange.locals().set(User { name: "ada".into() });
/// let user = exchange.locals().get::<User>().expect("set above");
/// exchange.write_text(&user.name);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Locals {
    /// Shared, because `on_connection_close` reads them while the handler holds the exchange.
    values: Rc<RefCell<Vec<Value>>>,
}

/// A handful per request: searched in a row.
type Value = (TypeId, Rc<dyn Any>);

impl Locals {
    /// Stores the value of type `T`, in place of an earlier one.
    pub fn set<T: Any>(&self, value: T) {
        // Its destructor may use these locals: it has to run when the borrow has ended.
        let replaced = self.remove::<T>();
        self.values.borrow_mut().push((TypeId::of::<T>(), Rc::new(value)));
        drop(replaced);
    }

    /// Returns the value of type `T`, if there is one.
    pub fn get<T: Any>(&self) -> Option<Rc<T>> {
        let values = self.values.borrow();
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Rc::clone(value).downcast().ok()
    }

    /// Removes the value of type `T` and returns it.
    pub fn remove<T: Any>(&self) -> Option<Rc<T>> {
        let mut values = self.values.borrow_mut();
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        values.swap_remove(at).1.downcast().ok()
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locals({} values)", self.values.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let locals = Locals::default();
        locals.set(1u8);
        locals.set("text");
        locals.set(2u8);
        assert_eq!(locals.get::<u8>().as_deref(), Some(&2));
        assert_eq!(locals.remove::<u8>().as_deref(), Some(&2));
        assert_eq!(locals.get::<u8>(), None);
        assert_eq!(locals.get::<&str>().as_deref(), Some(&"text"));
    }

    #[test]
    fn a_destructor_may_use_the_locals() {
        struct Leaves(Locals);
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.set(1u8);
            }
        }
        let locals = Locals::default();
        locals.set(Some(Leaves(Locals::clone(&locals))));
        locals.set(None::<Leaves>);
        assert!(locals.get::<u8>().is_some());
    }
}
