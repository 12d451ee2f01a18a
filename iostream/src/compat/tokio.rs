use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::write::Writer;
use crate::{BufReader, IOStream};

/// With the feature `tokio`, of which the traits alone are used: no runtime runs. The stream closes itself at the end of
/// input unless it is [half open](IOStream::set_half_open), which a library that answers after the end needs.
impl AsyncRead for IOStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(self.poll_read_some(cx, buf.initialize_unfilled()))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// With the feature `tokio`. A write takes as much as [`poll_write`](IOStream::poll_write) says, and `shutdown` is
/// [`poll_shutdown`](IOStream::poll_shutdown): it flushes and sends FIN.
impl AsyncWrite for IOStream {
    write_methods!(poll_shutdown);

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// With the feature `tokio`.
impl AsyncRead for BufReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(BufReader::poll_read(&mut self, cx, buf.initialize_unfilled()))?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// With the feature `tokio`.
impl AsyncBufRead for BufReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        BufReader::poll_fill_buf(self.get_mut(), cx).map_err(io::Error::from)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        BufReader::consume(&mut self, amount);
    }
}

/// With the feature `tokio`. As that of the stream.
impl AsyncWrite for BufReader {
    write_methods!(poll_shutdown);

    fn is_write_vectored(&self) -> bool {
        true
    }
}
