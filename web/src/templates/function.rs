//! Functions that see the request.

use std::{rc::Rc, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Object, ObjectRepr},
};

use super::names;
use crate::exchange::Exchange;

/// A function of an application.
pub(crate) type Function = Rc<dyn Fn(&Exchange, &[Value]) -> crate::Result<Value>>;

/// What templates call. The function is found by its number: values can go to other threads, and those of an application
/// cannot.
#[derive(Debug)]
pub(super) struct FunctionValue {
    pub(super) number: usize,
    pub(super) name: &'static str,
}

impl Object for FunctionValue {
    #[inline]
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    #[inline]
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        let FunctionValue { number, name } = **self;
        names::exchange(|exchange| {
            let found = exchange.and_then(|exchange| Some((exchange, exchange.templates()?)));
            match found {
                Some((exchange, templates)) => {
                    templates.call(number, exchange, arguments).map_err(|error| failure(name, error))
                }
                None => Err(Error::new(ErrorKind::InvalidOperation, format!("{name}() needs a request"))),
            }
        })
    }
}

/// An error of a function or a value, as one of the template that uses it.
#[inline]
pub(super) fn failure(name: &str, error: crate::Error) -> Error {
    match error {
        crate::Error::Template(error) => error,
        crate::Error::Other(other) => match other.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => Error::new(ErrorKind::InvalidOperation, format!("{name}: {other}")),
        },
        error => Error::new(ErrorKind::InvalidOperation, format!("{name}: {error}")),
    }
}
