//! Values that become the parameters of a URL.

use std::fmt::Display;

/// The values for the parameters of a route, in the order of its pattern: for
/// [`Exchange::reverse_url`](crate::Exchange::reverse_url).
///
/// A tuple of up to six values that implement [`Display`], an array, a slice or a `Vec` of values of one type, or `()` for a
/// route without parameters: `(7, "cover.png")`, `[7]`, `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of values for the parameters of a URL",
    note = "write an array or a tuple of values that implement `Display`, as in `[7]` or `(7, \"cover.png\")`, and `()` for none"
)]
pub trait UrlArguments: sealed::Sealed {
    /// The values as text, not encoded yet.
    #[doc(hidden)]
    fn texts(&self) -> Vec<String>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for () {}

impl UrlArguments for () {
    #[inline]
    fn texts(&self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! lists {
    ($([$($parameters:tt)*] $list:ty;)*) => {
        $(
            impl<$($parameters)*> sealed::Sealed for $list {}

            impl<$($parameters)*> UrlArguments for $list {
                #[inline]
                fn texts(&self) -> Vec<String> {
                    self.iter().map(T::to_string).collect()
                }
            }
        )*
    };
}

lists! {
    [T: Display, const N: usize] [T; N];
    [T: Display] &[T];
    [T: Display] Vec<T>;
    [T: Display] &Vec<T>;
}

macro_rules! tuples {
    ($(($($value:ident $at:tt),*);)*) => {
        $(
            impl<$($value: Display),*> sealed::Sealed for ($($value,)*) {}

            impl<$($value: Display),*> UrlArguments for ($($value,)*) {
                #[inline]
                fn texts(&self) -> Vec<String> {
                    vec![$(self.$at.to_string()),*]
                }
            }
        )*
    };
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}
