use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::write::Writer;
use crate::{BufReader, IOStream};

/// With the feature `futures-io`. The stream closes itself at the end of input unless it is
/// [half open](IOStream::set_half_open), which a library that answers after the end needs.
impl AsyncRead for IOStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_some(cx, buf).map_err(io::Error::from)
    }
}

/// With the feature `futures-io`. A write takes as much as [`poll_write`](IOStream::poll_write) says, and `close` is
/// [`poll_shutdown`](IOStream::poll_shutdown): it flushes and sends FIN.
impl AsyncWrite for IOStream {
    write_methods!(poll_close);
}

/// With the feature `futures-io`.
impl AsyncRead for BufReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        BufReader::poll_read(&mut self, cx, buf).map_err(io::Error::from)
    }
}

/// With the feature `futures-io`.
impl AsyncBufRead for BufReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        BufReader::poll_fill_buf(self.get_mut(), cx).map_err(io::Error::from)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        BufReader::consume(&mut self, amount);
    }
}

/// With the feature `futures-io`. As that of the stream.
impl AsyncWrite for BufReader {
    write_methods!(poll_close);
}
