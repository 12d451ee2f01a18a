//! A part of a file as a body; see [`Body::file`].

use std::{fs::File, ops::RangeBounds, rc::Rc};

use iostream::FilePart;

use super::{Body, Kind};
use crate::{Error, Result};

impl Body {
    /// The bytes of a regular file in `range`; `..` is all of it.
    ///
    /// Over TCP and Unix sockets the kernel sends them from its page cache (sendfile(2)): nothing is read into the process,
    /// and a slow client costs no memory. A file of up to 32 KiB is read instead, and leaves with its head in one piece.
    /// Over TLS, for a caller in the same process, and for a wrap that takes the body's frames, 64 KiB at a time are read.
    /// The length is announced; for HEAD, and for a status without content, the file is closed unread. Several bodies may
    /// share a file (`Rc<File>`): its position is neither used nor moved.
    ///
    /// What is not in the page cache is read from the disk meanwhile, and **the loop waits for it**, for up to 2 MiB before
    /// other connections get their turn. That is a millisecond or less from flash, and tens of them from
    /// a turning disk or over a network: Linux has no file reads that do not block. Where that matters, have another thread
    /// read the file first, as in the second example, or leave such files to a server made for them.
    ///
    /// Replace a file by renaming a new one over it. One that is written in place may be sent half old and half new. One
    /// that is cut short while it is sent ends the connection, so that the client notices; what is appended is not sent.
    ///
    /// # Errors
    ///
    /// When `file` is no regular file, when `range` does not lie within it, and when the system does not tell its length.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{fs::File, rc::Rc};
    /// use httpserver::{Body, Error, HttpServer, Request, Response};
    ///
    /// let manual = Rc::new(File::open("Cargo.toml").map_err(Error::other)?);
    /// HttpServer::new(async move |_: Request| -> httpserver::Result<Response> {
    ///     Ok(Response::bytes(Body::file(Rc::clone(&manual), ..)?))
    /// });
    /// # Ok::<_, Error>(())
    /// ```
    ///
    /// A file that is rarely asked for: a thread opens it and reads it once, which puts it into the page cache.
    ///
    /// ```
    /// use std::{fs::File, io, path::PathBuf};
    /// use httpserver::{Body, Error, Response, run_in_executor};
    ///
    /// async fn archived(path: PathBuf) -> httpserver::Result<Response> {
    ///     let warmed = run_in_executor(move || {
    ///         io::copy(&mut File::open(&path)?, &mut io::sink())?;
    ///         File::open(&path)
    ///     });
    ///     let file = warmed.await.map_err(Error::other)?.map_err(Error::other)?;
    ///     Ok(Response::bytes(Body::file(file, ..)?))
    /// }
    /// # let path = std::path::absolute("Cargo.toml").unwrap();
    /// # let response = httpserver::IOLoop::current().run_sync(archived(path))?;
    /// # assert!(response.body().content_length() > Some(0));
    /// # Ok::<_, Error>(())
    /// ```
    #[inline]
    pub fn file(file: impl Into<Rc<File>>, range: impl RangeBounds<u64>) -> Result<Body> {
        FilePart::new(file, range).map(Body::file_part).map_err(Error::other)
    }

    /// A part of a file as [`file`](Body::file) makes of it: for those who know the length of the file already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use httpserver::{Body, FilePart};
    ///
    /// let file = File::open("Cargo.toml")?;
    /// let length = file.metadata()?.len();
    /// let body = Body::file_part(FilePart::within(file, length, ..)?);
    /// assert_eq!(body.content_length(), Some(length));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[inline]
    pub fn file_part(part: FilePart) -> Body {
        if part.is_empty() { Body::empty() } else { Body { kind: Kind::File(Box::new(part)) } }
    }

    /// Takes a file that the connection can send by itself, and leaves the body empty. `None` for any other kind.
    pub(crate) fn take_file(&mut self) -> Option<FilePart> {
        match &self.kind {
            Kind::File(part) if part.len() > SEND_FROM => {}
            _ => return None,
        }
        let Kind::File(part) = std::mem::take(&mut self.kind) else { return None };
        Some(*part)
    }
}

/// Parts longer than this are sent by the kernel. A shorter one costs less to read and to send with its head than a
/// second send does.
const SEND_FROM: u64 = 32 * 1024;
