//! What a handler writes, on its way to the connection.

use std::borrow::Cow;

use httpserver::Bytes;

/// Text or bytes for [`Exchange::write`](crate::Exchange::write): `&str`, `String`, `&[u8]`, `Vec<u8>`, [`Bytes`] and
/// their relatives.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a response",
    note = "`write` takes text and bytes; numbers and the like go through `format!` or `to_string`",
    note = "values that implement `serde::Serialize` go through `write_json`"
)]
pub trait Content: sealed::Sealed {}

impl<T: sealed::Sealed> Content for T {}

/// What was written and not yet sent. Most responses are written in one go, and then nothing is merged.
#[derive(Debug, Default)]
pub enum Buffer {
    #[default]
    Empty,
    One(Bytes),
    Many(Vec<u8>),
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Buffer::Empty)
    }

    pub(super) fn take(&mut self) -> Bytes {
        match std::mem::take(self) {
            Buffer::Empty => Bytes::new(),
            Buffer::One(bytes) => bytes,
            Buffer::Many(bytes) => bytes.into(),
        }
    }

    fn copy(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        match self {
            Buffer::Empty => *self = Buffer::One(Bytes::copy_from_slice(piece)),
            Buffer::One(first) => {
                let mut bytes = Vec::from(std::mem::take(first));
                bytes.extend_from_slice(piece);
                *self = Buffer::Many(bytes);
            }
            Buffer::Many(bytes) => bytes.extend_from_slice(piece),
        }
    }

    fn append(&mut self, piece: Bytes) {
        if self.is_empty() && !piece.is_empty() {
            *self = Buffer::One(piece);
        } else {
            self.copy(&piece);
        }
    }

    fn append_vec(&mut self, piece: Vec<u8>) {
        if self.is_empty() && !piece.is_empty() {
            *self = Buffer::Many(piece);
        } else {
            self.copy(&piece);
        }
    }
}

mod sealed {
    use super::{Buffer, Bytes, Cow};

    pub trait Sealed {
        fn append_to(self, buffer: &mut Buffer);
    }

    macro_rules! content {
        ($($type:ty: $piece:ident, $buffer:ident => $append:expr;)*) => {$(
            impl Sealed for $type {
                fn append_to(self, $buffer: &mut Buffer) {
                    let $piece = self;
                    $append
                }
            }
        )*};
    }

    content! {
        &str: text, buffer => buffer.copy(text.as_bytes());
        &String: text, buffer => buffer.copy(text.as_bytes());
        String: text, buffer => buffer.append_vec(text.into_bytes());
        Cow<'_, str>: text, buffer => match text {
            Cow::Borrowed(text) => buffer.copy(text.as_bytes()),
            Cow::Owned(text) => buffer.append_vec(text.into_bytes()),
        };
        &[u8]: bytes, buffer => buffer.copy(bytes);
        &Vec<u8>: bytes, buffer => buffer.copy(bytes);
        Vec<u8>: bytes, buffer => buffer.append_vec(bytes);
        Bytes: bytes, buffer => buffer.append(bytes);
        &Bytes: bytes, buffer => buffer.append(bytes.clone());
    }

    impl<const N: usize> Sealed for &[u8; N] {
        fn append_to(self, buffer: &mut Buffer) {
            buffer.copy(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn pieces_are_joined_in_order() {
        let mut buffer = Buffer::default();
        "a".append_to(&mut buffer);
        String::from("bc").append_to(&mut buffer);
        b"d".append_to(&mut buffer);
        vec![b'e'].append_to(&mut buffer);
        Bytes::from_static(b"f").append_to(&mut buffer);
        assert_eq!(buffer.take(), "abcdef");
        assert!(buffer.is_empty());
    }

    #[test]
    fn empty_pieces_are_nothing() {
        let mut buffer = Buffer::default();
        "".append_to(&mut buffer);
        Vec::new().append_to(&mut buffer);
        Bytes::new().append_to(&mut buffer);
        assert!(buffer.is_empty());
    }

    #[test]
    fn owned_bytes_are_not_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let mut buffer = Buffer::default();
        bytes.clone().append_to(&mut buffer);
        assert_eq!(buffer.take().as_ptr(), bytes.as_ptr());
    }
}
