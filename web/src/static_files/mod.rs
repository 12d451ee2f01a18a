//! A directory of files.

mod answer;
mod named_file;
mod parts;
mod path;
mod version;

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
    time::SystemTime,
};

use httpserver::{Method, StatusCode};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

pub use self::named_file::NamedFile;
use self::{answer::FileAnswer, version::Version};
use crate::{
    error::{Error, HttpError, Result},
    exchange::Exchange,
    request_handler::RequestHandler,
};

/// Serves the files of a directory: types, conditional requests and ranges, without ever leaving the directory.
///
/// * **Confined by the kernel.** Files are opened with `openat2` and `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`: `..`,
///   absolute paths and symbolic links cannot lead out, whatever happens to the directory in the meantime. A relative
///   link that stays inside is followed. One that leaves is 403, and so is an absolute link, wherever it points: the
///   kernel cannot resolve it without leaving the directory. Linux has this call since 5.6; on older kernels, and where
///   a sandbox forbids it, [`new`](StaticFiles::new) fails.
/// * **Regular files only.** Pipes, devices and sockets are 403. A directory is served as its index file, if one is
///   configured, and is 403 otherwise.
/// * **No dot files.** A path with a segment that begins with a dot is 404, as if nothing were there: `.git`, `.env` and
///   the like are seldom meant for the public. `.well-known` directly below the directory is served, since RFC 8615 makes
///   it public. [`serve_dot_files`](StaticFiles::serve_dot_files) serves the others too.
/// * **Conditions and ranges.** Each file has a strong `ETag` from its inode, its size and the time of its last change in
///   nanoseconds, and a `Last-Modified`. `If-Match`, `If-None-Match` and their dates are evaluated in the order of RFC
///   9110, section 13.2.2, then ranges of bytes: one as it is, several as `multipart/byteranges`. Ranges that overlap become
///   one, and more than 32 are ignored, so that no answer is longer than the file. An `If-Range` date counts only once the second of the change is over.
///   Replace a file by renaming a new one over it: then its tag always changes with its content.
/// * **Cost.** Files up to 64 KiB are read, and leave with their head in one piece. Longer ones are a [`Body::file`](httpserver::Body::file): over
///   TCP and Unix sockets the kernel sends them from its page cache, 1 MiB at most before other connections have their
///   turn. No file is held in memory. What is not in the page cache is read from the disk meanwhile, and the loop waits for
///   it: a slow disk or a network file system stalls all connections of the thread. Such files belong behind a server made
///   for them.
///
/// A file that shrinks while it is sent ends the connection, so that the client notices; one that grows is cut at the
/// size it had.
///
/// # Examples
///
/// ```no_run
/// use web::{Application, StaticFiles};
///
/// # fn main() -> web::Result<()> {
/// let assets = StaticFiles::new("assets")?.cache_control("public, max-age=3600");
/// let application = Application::new().static_handler("/assets", assets);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StaticFiles {
    root: File,
    index: Option<String>,
    cache_control: Option<String>,
    has_portable_etags: bool,
    serves_dot_files: bool,
}

impl StaticFiles {
    /// Serves the files below `directory`, without an index file. The directory stays open: it may be renamed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened, and when the kernel does not have `openat2` or refuses it to this process. The
    /// text names the directory.
    pub fn new(directory: impl AsRef<Path>) -> Result<StaticFiles> {
        let directory = directory.as_ref();
        let root = File::open(directory).map_err(|error| unusable(directory, &error))?;
        let files =
            StaticFiles { root, index: None, cache_control: None, has_portable_etags: false, serves_dot_files: false };
        match files.open(".") {
            Ok(_) => Ok(files),
            Err(Errno::ENOSYS | Errno::EPERM) => Err(Error::from(io::Error::new(
                io::ErrorKind::Unsupported,
                "static files need the system call openat2 (Linux 5.6 or later, not blocked by a sandbox)",
            ))),
            Err(error) => Err(unusable(directory, &error.into())),
        }
    }

    /// Serves a directory as its file `name`, usually `index.html`. By default a directory is 403.
    ///
    /// A directory's path without a slash at the end is redirected to the one with it, so that relative links in the file
    /// work.
    #[must_use]
    pub fn index(mut self, name: impl Into<String>) -> StaticFiles {
        self.index = Some(name.into());
        self
    }

    /// Sets the `Cache-Control` of every file. Without one, clients decide for themselves. A 304 carries it too, an error
    /// does not.
    #[must_use]
    pub fn cache_control(mut self, value: impl Into<String>) -> StaticFiles {
        self.cache_control = Some(value.into());
        self
    }

    /// Whether the tags of files leave out the inode, which differs from machine to machine. False by default.
    ///
    /// Set it where several machines serve copies of the same files: a client that comes to another one keeps what it has
    /// cached, and its ranges go on. The copies need the same times of change (`rsync --times`, `tar`, an image). The price:
    /// a file replaced by another one of the same size and the same time, to the nanosecond, keeps its tag.
    #[must_use]
    #[inline]
    pub fn portable_etags(mut self, on: bool) -> StaticFiles {
        self.has_portable_etags = on;
        self
    }

    /// Whether files and directories are served whose names begin with a dot. False by default: they are 404, except for
    /// `.well-known` directly below the directory.
    #[must_use]
    #[inline]
    pub fn serve_dot_files(mut self, on: bool) -> StaticFiles {
        self.serves_dot_files = on;
        self
    }

    #[inline]
    fn serve(&self, exchange: &mut Exchange) -> Result<()> {
        let path = path::relative(exchange, self.serves_dot_files)?;
        let (file, metadata) = self.open_checked(&path)?;
        if metadata.is_dir() {
            return self.serve_index(exchange, &path);
        }
        self.send(exchange, &path, file, &metadata)
    }

    #[inline]
    fn serve_index(&self, exchange: &mut Exchange, directory: &str) -> Result<()> {
        let Some(index) = &self.index else {
            return Err(forbidden("a directory"));
        };
        if !exchange.request().path().ends_with('/') {
            let location = path::with_slash(exchange);
            return exchange.redirect_with(StatusCode::MOVED_PERMANENTLY, &location);
        }
        let path = format!("{directory}/{index}");
        let path = path.trim_start_matches('/');
        let (file, metadata) = self.open_checked(path)?;
        self.send(exchange, path, file, &metadata)
    }

    #[inline]
    fn send(&self, exchange: &mut Exchange, path: &str, file: File, metadata: &Metadata) -> Result<()> {
        if !metadata.is_file() {
            return Err(forbidden("not a regular file"));
        }
        let answer = FileAnswer {
            file,
            size: metadata.len(),
            version: Version::of(metadata, self.has_portable_etags, SystemTime::now()),
            content_type: &content_type(path),
            cache_control: self.cache_control.as_deref(),
        };
        answer.send(exchange)
    }

    #[inline]
    fn open_checked(&self, path: &str) -> Result<(File, Metadata)> {
        let file = self.open(path).map_err(open_error)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Non-blocking, because opening a pipe without a writer would otherwise wait for one.
    #[inline]
    fn open(&self, path: &str) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.is_empty() { "." } else { path };
        // The kernel gives up with EAGAIN when something was renamed while it looked at a `..` in a link.
        for _ in 0..8 {
            match openat2(&self.root, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(File::from(result?)),
            }
        }
        Err(Errno::EAGAIN)
    }
}

impl RequestHandler for StaticFiles {
    const METHODS: &'static [Method] = &[Method::GET, Method::HEAD];

    #[inline]
    async fn get(&self, exchange: &mut Exchange) -> Result<()> {
        self.serve(exchange)
    }

    #[inline]
    async fn head(&self, exchange: &mut Exchange) -> Result<()> {
        self.serve(exchange)
    }
}

#[inline]
fn unusable(directory: &Path, error: &io::Error) -> Error {
    io::Error::new(error.kind(), format!("cannot serve files from {directory:?}: {error}")).into()
}

#[inline]
fn open_error(error: Errno) -> Error {
    match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => HttpError::new(StatusCode::NOT_FOUND).into(),
        Errno::EXDEV | Errno::ELOOP => forbidden("a link that leaves the directory, or an absolute one"),
        Errno::EACCES | Errno::EPERM => forbidden("no permission"),
        Errno::ENXIO | Errno::ENODEV => forbidden("not a regular file"),
        error => io::Error::from(error).into(),
    }
}

#[inline]
fn forbidden(reason: &'static str) -> Error {
    HttpError::new(StatusCode::FORBIDDEN).log(reason).into()
}

/// The type by the extension. Text is taken to be UTF-8, as nearly all of it is.
#[inline]
fn content_type(path: &str) -> String {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = mime.type_() == mime_guess::mime::TEXT;
    if is_text && mime.get_param("charset").is_none() { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_types_say_their_encoding() {
        assert_eq!(content_type("a/b.html"), "text/html; charset=utf-8");
        assert!(content_type("a.js").ends_with("javascript; charset=utf-8"));
        assert_eq!(content_type("a.png"), "image/png");
        assert_eq!(content_type("a.json"), "application/json");
        assert_eq!(content_type("noext"), "application/octet-stream");
    }
}
