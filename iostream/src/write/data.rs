use bytes::{Buf, Bytes, BytesMut};

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

        /// What is left when the first `sent` bytes are gone.
        fn into_rest(self, sent: usize) -> Bytes;
    }
}

macro_rules! borrowed_data {
    ($($({$($param:tt)*})? $type:ty;)*) => {$(
        impl $(<$($param)*>)? sealed::WriteData for $type {
            fn unsent(&self) -> &[u8] {
                let bytes: &[u8] = self.as_ref();
                bytes
            }

            fn into_rest(self, sent: usize) -> Bytes {
                Bytes::copy_from_slice(&self.unsent()[sent..])
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

            fn into_rest(self, sent: usize) -> Bytes {
                let mut rest = Bytes::from(self);
                rest.advance(sent);
                rest
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

    fn into_rest(self, sent: usize) -> Bytes {
        self.slice(sent..)
    }
}
