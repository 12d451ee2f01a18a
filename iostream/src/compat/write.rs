use crate::{BufReader, IOStream};

/// The methods that all traits for writing have alike, but for the name of the one that ends the output.
macro_rules! write_methods {
    ($poll_end:ident) => {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.stream().poll_write(cx, buf).map_err(io::Error::from)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.stream().poll_write_vectored(cx, bufs).map_err(io::Error::from)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.stream().poll_flush(cx).map_err(io::Error::from)
        }

        fn $poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.stream().poll_shutdown(cx).map_err(io::Error::from)
        }
    };
}

/// Has a stream that is written to.
pub(super) trait Writer {
    fn stream(&self) -> &IOStream;
}

impl Writer for IOStream {
    #[inline]
    fn stream(&self) -> &IOStream {
        self
    }
}

impl Writer for BufReader {
    #[inline]
    fn stream(&self) -> &IOStream {
        self.get_ref()
    }
}
