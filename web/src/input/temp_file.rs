//! Uploads on their way to the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use httpserver::{IOLoop, iostream::ioloop::JoinError, run_in_executor};

use crate::{error::Result, jitter};

/// Bytes that are gathered before a thread is asked to write them.
const STEP: usize = 256 * 1024;

/// A file that is being received. It is removed when this is dropped, unless [`persist`](TempFile::persist) has given it a
/// name: on every error, when the client goes away, when the handler is dropped.
///
/// Writing to a disk blocks, so a thread of the executor does it, 256 KiB at a time, and the client is not read from
/// meanwhile. So an upload of any size takes 256 KiB of memory, and the loop serves others. A short one is written by one
/// job.
///
/// The file is readable and writable for the program's user alone (mode 0600). Its data is on its way to the disk and not
/// forced there: a machine that loses power may lose it.
///
/// A limit is the caller's to set: [`FormLimits`](httpserver::multipart::FormLimits) for forms,
/// [`Exchange::set_body_limit`](crate::Exchange::set_body_limit) and the route's for whole bodies. Some time after a crash
/// of the program a file called `.upload-` and a number is one that nobody removes any more.
///
/// # Examples
///
/// The body as it comes, such as one by `curl --upload-file`:
///
/// ```
/// use web::{Exchange, StatusCode, TempFile};
///
/// async fn put(exchange: &mut Exchange) -> web::Result<()> {
///     let id: u64 = exchange.path("id")?;
///     let mut file = TempFile::create("uploads").await?;
///     while let Some(piece) = exchange.chunk().await? {
///         file.write(piece).await?;
///     }
///     // Under a name of our own, on the same file system.
///     file.persist(format!("uploads/{id}")).await?;
///     exchange.set_status(StatusCode::CREATED);
///     Ok(())
/// }
/// # let _ = web::Application::new().put("/files/{id}", put);
/// ```
#[derive(Debug)]
pub struct TempFile {
    /// `None` while a thread has it, for good if nobody waits for that thread any more.
    open: Option<Open>,
    path: PathBuf,
    /// What is to be written next.
    buffer: Vec<u8>,
    len: u64,
}

/// The file itself, which goes from thread to thread and is removed wherever it is dropped.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    is_kept: bool,
}

impl TempFile {
    /// Creates a file in `directory`, which has to be there: the one in which the file is to stay, or another one of the same
    /// file system.
    ///
    /// # Errors
    ///
    /// An [`io::Error`], which is a 500.
    ///
    /// # Cancel safety
    ///
    /// The file is removed if the future is dropped.
    #[inline]
    pub async fn create(directory: impl AsRef<Path>) -> Result<TempFile> {
        let directory = directory.as_ref().to_owned();
        let open = run_in_executor(move || Open::create(&directory)).await.map_err(lost)??;
        let path = open.path.clone();
        Ok(TempFile { open: Some(open), path, buffer: Vec::new(), len: 0 })
    }

    /// Creates a file in `directory` and writes what is left of `part` to it.
    ///
    /// # Errors
    ///
    /// Those of the part, such as 413 when it is too long, and of [`create`](TempFile::create) and
    /// [`write`](TempFile::write). The file has been removed then.
    ///
    /// # Cancel safety
    ///
    /// The file is removed if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, FormLimits, TempFile, safe_file_name};
    ///
    /// async fn upload(exchange: &mut Exchange) -> web::Result<()> {
    ///     let limits = FormLimits::default().max_parts(10).max_field(1024).max_file(50 * 1024 * 1024);
    ///     let mut form = exchange.multipart(limits)?;
    ///     while let Some(mut part) = form.next_part().await? {
    ///         let Some(name) = part.file_name().and_then(safe_file_name) else { continue };
    ///         let file = TempFile::receive(&mut part, "uploads").await?;
    ///         exchange.write_text(format!("{name}: {} bytes\n", file.len()));
    ///         file.persist(format!("uploads/{name}")).await?;
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = web::Application::new().post("/upload", upload);
    /// ```
    #[cfg(feature = "multipart")]
    #[inline]
    pub async fn receive(part: &mut httpserver::multipart::Part<'_>, directory: impl AsRef<Path>) -> Result<TempFile> {
        let mut file = TempFile::create(directory).await?;
        while let Some(piece) = part.chunk().await? {
            file.write(piece).await?;
        }
        file.flush().await?;
        Ok(file)
    }

    /// Appends `bytes`, and waits for the disk when there is enough to write.
    ///
    /// # Errors
    ///
    /// An [`io::Error`], which is a 500, for instance when the disk is full. The file has been removed then, and every later
    /// call fails.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped while it waits, the file is removed, and every later call fails.
    #[inline]
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() >= STEP {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands what was written to the system, so that others who open the file see it.
    ///
    /// # Errors
    ///
    /// As [`write`](TempFile::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](TempFile::write).
    #[inline]
    pub async fn flush(&mut self) -> Result<()> {
        let mut open = self.open.take().ok_or_else(gone)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let job = run_in_executor(move || {
            open.file.write_all(&buffer)?;
            buffer.clear();
            io::Result::Ok((open, buffer))
        });
        let (open, buffer) = job.await.map_err(lost)??;
        (self.open, self.buffer) = (Some(open), buffer);
        Ok(())
    }

    /// Gives the file its name, atomically, in place of another file of that name if there is one. It is not removed any more.
    ///
    /// # Errors
    ///
    /// An [`io::Error`], which is a 500: `path` is on another file system, or its directory is not there. The file has been
    /// removed then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the file may have its name or may have been removed.
    #[inline]
    pub async fn persist(self, path: impl AsRef<Path>) -> Result<()> {
        self.keep(path.as_ref(), |from, to| fs::rename(from, to)).await
    }

    /// Gives the file its name as [`persist`](TempFile::persist) does, unless there is a file of that name.
    ///
    /// # Errors
    ///
    /// As [`persist`](TempFile::persist); an [`io::Error`] of the kind `AlreadyExists` if the name is taken.
    ///
    /// # Cancel safety
    ///
    /// As [`persist`](TempFile::persist).
    #[inline]
    pub async fn persist_new(self, path: impl AsRef<Path>) -> Result<()> {
        self.keep(path.as_ref(), |from, to| {
            // A rename would replace the other file; a second name is refused.
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        })
        .await
    }

    /// The path for the time being.
    #[inline]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that were written.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    async fn keep(mut self, path: &Path, give_name: fn(&Path, &Path) -> io::Result<()>) -> Result<()> {
        let open = self.open.take().ok_or_else(gone)?;
        let (path, buffer) = (path.to_owned(), std::mem::take(&mut self.buffer));
        let job = run_in_executor(move || {
            // As a whole: a closure has a copy of a flag that it names alone.
            let mut open = open;
            open.file.write_all(&buffer)?;
            give_name(&open.path, &path)?;
            open.is_kept = true;
            io::Result::Ok(())
        });
        Ok(job.await.map_err(lost)??)
    }
}

impl Open {
    #[inline]
    fn create(directory: &Path) -> io::Result<Open> {
        loop {
            let path = directory.join(format!(".upload-{:016x}", jitter::random()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Open { file, path, is_kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Open {
    #[inline]
    fn drop(&mut self) {
        if !self.is_kept && fs::remove_file(&self.path).is_err() {
            log::warn!(target: "web", "an upload could not be removed: {}", self.path.display());
        }
    }
}

/// To free the blocks of a large file takes a while, so a thread does it if there is one.
impl Drop for TempFile {
    #[inline]
    fn drop(&mut self) {
        if let (Some(open), Some(ioloop)) = (self.open.take(), IOLoop::try_current()) {
            drop(ioloop.run_in_executor(move || drop(open)));
        }
    }
}

#[cold]
fn lost(error: JoinError) -> io::Error {
    io::Error::other(format!("no thread has written the upload: {error}"))
}

#[cold]
fn gone() -> io::Error {
    io::Error::other("the upload was given up while it was being written")
}
