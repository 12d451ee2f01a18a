use std::{fmt, future::Future, panic::Location};

use httpserver::{BodyWriter, Result, Trailers};

use super::{patience::waiting_for, run::CallSite};

/// Writes the body of a request, made by [`TestRequest::upload`](super::TestRequest::upload).
///
/// Dropped before [`finish`](Upload::finish) it takes the client away in the middle of the body.
pub struct Upload {
    writer: BodyWriter,
    /// What is left of the length that was announced, if one was.
    rest: Option<usize>,
    what: String,
}

impl Upload {
    pub(super) fn new(writer: BodyWriter, announced: Option<u64>, what: String) -> Upload {
        let rest = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        Upload { writer, rest, what }
    }

    /// Sends a piece, and waits until the connection has taken it. An application that does not read it is found out once
    /// [`capacity`](super::TestClient::capacity) bytes are under way.
    ///
    /// # Panics
    ///
    /// When the application has closed the connection or answered without waiting for the rest.
    #[track_caller]
    pub fn write(&mut self, piece: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let site = Location::caller();
        async move {
            if let Err(error) = self.write_at(piece, site).await {
                panic!("the body of {} (at {site}): {error}", self.what);
            }
        }
    }

    /// [`write`](Upload::write) for an application that may not want it.
    ///
    /// # Errors
    ///
    /// Why nobody takes the body any more.
    #[track_caller]
    pub fn try_write(&mut self, piece: impl AsRef<[u8]>) -> impl Future<Output = Result<()>> {
        let site = Location::caller();
        self.write_at(piece, site)
    }

    async fn write_at(&mut self, piece: impl AsRef<[u8]>, site: CallSite) -> Result<()> {
        let Upload { writer, rest, what } = self;
        *rest = rest.map(|rest| rest.saturating_sub(piece.as_ref().len()));
        let is_whole = *rest == Some(0);
        let writing = async {
            writer.write(piece).await?;
            // Behind the last byte that was announced the application may answer, and the connection has no use for the
            // rest of the body: nothing more of it is waited for.
            if is_whole { Ok(()) } else { writer.flush().await }
        };
        waiting_for(|| format!("the application to read the body of {what}"), site, writing).await
    }

    /// Ends the body.
    pub fn finish(self) {
        self.writer.finish();
    }

    /// Ends the body with trailers.
    pub fn finish_with_trailers(mut self, trailers: Trailers) {
        self.writer.set_trailers(trailers);
        self.writer.finish();
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("request", &self.what).finish_non_exhaustive()
    }
}
