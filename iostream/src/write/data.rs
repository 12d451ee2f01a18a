use std::mem;

use bytes::{Bytes, BytesMut};

/// What can be written: slices, which are copied only if they must wait, and owned buffers, which are not copied.
///
/// Implemented for `&[u8]`, `&[u8; N]`, `&str`, `&String`, `&Vec<u8>`, `&Bytes`, `String`, `Vec<u8>`, `Bytes` and
/// `BytesMut`. Sealed.
pub trait WriteData: sealed::WriteData {}

impl<T: sealed::WriteData> WriteData for T {}

mod sealed {
    use bytes::Bytes;

    pub trait WriteData {
        fn unsent(&self) -> &[u8];

        /// The bytes, if having them needs no copy. Called once.
        fn take_owned(&mut self) -> Option<Bytes>;
    }
}

macro_rules! borrowed_data {
    ($($({$($param:tt)*})? $type:ty;)*) => {$(
        impl $(<$($param)*>)? sealed::WriteData for $type {
            fn unsent(&self) -> &[u8] {
                let bytes: &[u8] = self.as_ref();
                bytes
            }

            fn take_owned(&mut self) -> Option<Bytes> {
                None
            }
        }
    )*};
}

macro_rules! owned_data {
    ($($type:ty;)*) => {$(
        impl sealed::WriteData for $type {
            fn unsent(&self) -> &[u8] {
                self.as_ref()
            }

            fn take_owned(&mut self) -> Option<Bytes> {
                Some(Bytes::from(mem::take(self)))
            }
        }
    )*};
}

borrowed_data! {
    &[u8];
    {const N: usize} &[u8; N];
    &str;
    &String;
    &Vec<u8>;
}

owned_data! {
    String;
    Vec<u8>;
    Bytes;
    BytesMut;
}

impl sealed::WriteData for &Bytes {
    fn unsent(&self) -> &[u8] {
        self
    }

    fn take_owned(&mut self) -> Option<Bytes> {
        Some(self.clone())
    }
}
