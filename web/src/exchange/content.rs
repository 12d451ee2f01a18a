//! What a handler writes, on its way to the connection.

use std::borrow::Cow;

use httpserver::{Body, BodyBuffer, Bytes};

/// Text or bytes for [`Exchange::write`](crate::Exchange::write): `&str`, `String`, `&[u8]`, `Vec<u8>`, [`Bytes`] and
/// their relatives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a response",
    note = "`write` takes text and bytes; numbers and the like go through `format!` or `to_string`",
    note = "values that implement `serde::Serialize` go through `write_json`"
)]
pub trait Content: sealed::Sealed {}

impl<T: sealed::Sealed> Content for T {}

/// What was written and not yet sent. Nearly all of it is gathered in a buffer of the thread's pool, so that a short
/// response takes no memory of its own.
#[derive(Debug)]
pub enum Unsent {
    Gathered(BodyBuffer),
    /// Bytes that were there as such, and nothing else. Boxed, because every request that waits has the room.
    One(Box<Bytes>),
}

impl Unsent {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Unsent::Gathered(buffer) if buffer.is_empty())
    }

    /// As a whole response.
    #[inline]
    pub(super) fn take_body(&mut self) -> Body {
        match std::mem::take(self) {
            Unsent::Gathered(buffer) if buffer.is_empty() => Body::empty(),
            Unsent::Gathered(buffer) => buffer.into(),
            Unsent::One(bytes) => (*bytes).into(),
        }
    }

    /// As a piece of a response.
    pub(super) fn take(&mut self) -> Bytes {
        match std::mem::take(self) {
            Unsent::Gathered(buffer) => buffer.into_bytes(),
            Unsent::One(bytes) => *bytes,
        }
    }

    fn copy(&mut self, piece: &[u8]) {
        if let Unsent::Gathered(buffer) = self {
            return buffer.extend_from_slice(piece);
        }
        self.copy_behind(piece);
    }

    /// Without a copy of the first bytes if nobody else holds them.
    #[cold]
    fn copy_behind(&mut self, piece: &[u8]) {
        let mut bytes = Vec::from(self.take());
        bytes.extend_from_slice(piece);
        *self = Unsent::Gathered(bytes.into());
    }

    fn append(&mut self, piece: Bytes) {
        if self.is_empty() && !piece.is_empty() {
            *self = Unsent::One(Box::new(piece));
        } else {
            self.copy(&piece);
        }
    }

    fn append_vec(&mut self, piece: Vec<u8>) {
        // A short piece is copied, because memory that is used again costs less than a handle to memory that is not.
        if self.is_empty() && piece.len() > MOST_COPIED {
            *self = Unsent::One(Box::new(piece.into()));
        } else {
            self.copy(&piece);
        }
    }
}

impl Default for Unsent {
    fn default() -> Self {
        Unsent::Gathered(BodyBuffer::new())
    }
}

/// Owned pieces up to this many bytes are copied.
pub(super) const MOST_COPIED: usize = 512;

mod sealed {
    use super::{Bytes, Cow, Unsent};

    pub trait Sealed {
        fn append_to(self, unsent: &mut Unsent);
    }

    macro_rules! content {
        ($($type:ty: $piece:ident, $unsent:ident => $append:expr;)*) => {$(
            impl Sealed for $type {
                fn append_to(self, $unsent: &mut Unsent) {
                    let $piece = self;
                    $append
                }
            }
        )*};
    }

    content! {
        &str: text, unsent => unsent.copy(text.as_bytes());
        &String: text, unsent => unsent.copy(text.as_bytes());
        String: text, unsent => unsent.append_vec(text.into_bytes());
        Cow<'_, str>: text, unsent => match text {
            Cow::Borrowed(text) => unsent.copy(text.as_bytes()),
            Cow::Owned(text) => unsent.append_vec(text.into_bytes()),
        };
        &[u8]: bytes, unsent => unsent.copy(bytes);
        &Vec<u8>: bytes, unsent => unsent.copy(bytes);
        Vec<u8>: bytes, unsent => unsent.append_vec(bytes);
        Bytes: bytes, unsent => unsent.append(bytes);
        &Bytes: bytes, unsent => unsent.append(bytes.clone());
    }

    impl<const N: usize> Sealed for &[u8; N] {
        fn append_to(self, unsent: &mut Unsent) {
            unsent.copy(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn pieces_are_joined_in_order() {
        let mut unsent = Unsent::default();
        "a".append_to(&mut unsent);
        String::from("bc").append_to(&mut unsent);
        b"d".append_to(&mut unsent);
        vec![b'e'].append_to(&mut unsent);
        Bytes::from_static(b"f").append_to(&mut unsent);
        assert_eq!(unsent.take(), "abcdef");
        assert!(unsent.is_empty());
    }

    #[test]
    fn empty_pieces_are_nothing() {
        let mut unsent = Unsent::default();
        "".append_to(&mut unsent);
        Vec::new().append_to(&mut unsent);
        Bytes::new().append_to(&mut unsent);
        assert!(unsent.is_empty());
    }

    #[test]
    fn owned_bytes_are_not_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let mut unsent = Unsent::default();
        bytes.clone().append_to(&mut unsent);
        assert_eq!(unsent.take().as_ptr(), bytes.as_ptr());
    }
}
