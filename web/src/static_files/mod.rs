//! A directory of files.

mod answer;
mod fallback;
mod listing;
mod named_file;
mod parts;
mod path;
mod root;
mod siblings;
#[cfg(feature = "static-urls")]
mod urls;
mod version;

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use httpserver::{Method, StatusCode};
use nix::errno::Errno;

pub use self::named_file::NamedFile;
#[cfg(feature = "static-urls")]
pub use self::urls::StaticUrls;
use self::{answer::FileAnswer, root::Root, version::Version};
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
///   configured, as a list of its files, if that was asked for, and is 403 otherwise.
/// * **No dot files.** A path with a segment that begins with a dot is 404, as if nothing were there: `.git`, `.env` and
///   the like are seldom meant for the public. `.well-known` directly below the directory is served, since RFC 8615 makes
///   it public. [`serve_dot_files`](StaticFiles::serve_dot_files) serves the others too.
/// * **Conditions and ranges.** Each file has a strong `ETag` from its inode, its size and the time of its last change in
///   nanoseconds, and a `Last-Modified`. `If-Match`, `If-None-Match` and their dates are evaluated in the order of RFC
///   9110, section 13.2.2, then ranges of bytes: one as it is, several as `multipart/byteranges`. Ranges that overlap become
///   one, and more than 32 are ignored, so that no answer is longer than the file. An `If-Range` date counts only once the
///   second of the change is over. Replace a file by renaming a new one over it: then its tag always changes with its content.
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
    /// Shared with the handles that make URLs.
    root: Arc<Root>,
    index: Option<String>,
    cache_control: Option<String>,
    /// The page for paths that no file has.
    fallback: Option<String>,
    has_portable_etags: bool,
    serves_dot_files: bool,
    is_precompressed: bool,
    lists_directories: bool,
    /// Once a handle for URLs was asked for.
    #[cfg(feature = "static-urls")]
    versions: Option<urls::Versions>,
}

impl StaticFiles {
    /// Serves the files below `directory`, without an index file. The directory stays open: it may be renamed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened, and when the kernel does not have `openat2` or refuses it to this process. The
    /// text names the directory.
    pub fn new(directory: impl AsRef<Path>) -> Result<StaticFiles> {
        #[cfg(feature = "debug")]
        crate::debug::watch(directory.as_ref());
        Ok(StaticFiles {
            root: Arc::new(Root::new(directory.as_ref())?),
            index: None,
            cache_control: None,
            fallback: None,
            has_portable_etags: false,
            serves_dot_files: false,
            is_precompressed: false,
            lists_directories: false,
            #[cfg(feature = "static-urls")]
            versions: None,
        })
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

    /// Whether compressed siblings are sent to clients that accept them: for `app.js` its `app.js.br`, `app.js.zst` or
    /// `app.js.gz`, whichever the client likes best, in this order where it likes them alike. False by default.
    ///
    /// A sibling has the type of the original, an `ETag` of its own, and ranges of its own. One that is older than the
    /// original is not used. Every answer says `Vary: Accept-Encoding`. Costs up to three more system calls per request, to
    /// look for siblings that are not there.
    #[must_use]
    #[inline]
    pub fn precompressed(mut self, on: bool) -> StaticFiles {
        self.is_precompressed = on;
        self
    }

    /// Serves the file `name`, usually `index.html`, to browsers that go to a path which no file has: for an application whose
    /// pages are drawn by a script. By default they are 404.
    ///
    /// That is GET and HEAD with `text/html` in `Accept`, for a path whose last segment has no dot. A script or an image that
    /// is missing is still 404, and so is what is fetched by a script.
    #[must_use]
    #[inline]
    pub fn fallback(mut self, name: impl Into<String>) -> StaticFiles {
        self.fallback = Some(name.into());
        self
    }

    /// Whether a directory without an index file is served as a list of what is in it. False by default: it is 403.
    ///
    /// Dot files are shown if they are served. The list has at most 10,000 names, and is read on the loop. Reading it needs
    /// `/proc`.
    #[must_use]
    #[inline]
    pub fn list_directories(mut self, on: bool) -> StaticFiles {
        self.lists_directories = on;
        self
    }

    #[inline]
    fn serve(&self, exchange: &mut Exchange) -> Result<()> {
        let path = path::relative(exchange, self.serves_dot_files)?;
        match self.root.look_up(&path) {
            Ok((directory, metadata)) if metadata.is_dir() => self.serve_directory(exchange, &path, &directory),
            Ok((file, metadata)) => self.send(exchange, &path, file, metadata),
            Err(error) => self.serve_missing(exchange, error),
        }
    }

    #[inline]
    fn serve_directory(&self, exchange: &mut Exchange, path: &str, directory: &File) -> Result<()> {
        if self.index.is_none() && !self.lists_directories {
            return Err(forbidden("a directory"));
        }
        // Links of what is shown are relative.
        if !exchange.request().path().ends_with('/') {
            let location = path::with_slash(exchange);
            return exchange.redirect_with(StatusCode::MOVED_PERMANENTLY, &location);
        }
        if let Some(index) = &self.index {
            let path = format!("{path}/{index}");
            let path = path.trim_start_matches('/');
            match self.root.look_up(path) {
                Ok((file, metadata)) => return self.send(exchange, path, file, metadata),
                Err(Errno::ENOENT) if self.lists_directories => {}
                Err(error) => return self.serve_missing(exchange, error),
            }
        }
        self.serve_list(exchange, directory)
    }

    #[inline]
    fn serve_list(&self, exchange: &mut Exchange, directory: &File) -> Result<()> {
        let page = listing::page(directory, exchange.request().path(), self.serves_dot_files)?;
        exchange.set_header("Content-Type", "text/html; charset=utf-8")?;
        // Names are escaped. Should one get through all the same, it does nothing.
        exchange.set_header("Content-Security-Policy", "default-src 'none'")?;
        exchange.set_header("Cache-Control", "no-cache")?;
        exchange.write(page);
        Ok(())
    }

    #[inline]
    fn serve_missing(&self, exchange: &mut Exchange, error: Errno) -> Result<()> {
        let is_missing = matches!(error, Errno::ENOENT | Errno::ENOTDIR);
        match self.fallback.as_deref().filter(|_| is_missing && fallback::may_be_page(exchange)) {
            Some(name) if fallback::asks_for_page(exchange) => {
                let (file, metadata) = self.root.look_up(name).map_err(open_error)?;
                exchange.append_header("Vary", "Accept")?;
                self.send(exchange, name, file, metadata)
            }
            // Or a cache would hand the 404 of a script to a browser that goes there.
            Some(_) => Err(HttpError::new(StatusCode::NOT_FOUND).header("Vary", "Accept").into()),
            None => Err(open_error(error)),
        }
    }

    #[inline]
    fn send(&self, exchange: &mut Exchange, path: &str, file: File, metadata: Metadata) -> Result<()> {
        if !metadata.is_file() {
            return Err(forbidden("not a regular file"));
        }
        // The version is that of the original, whatever is sent in its place.
        let is_immutable = self.is_immutable(exchange, &file, &metadata);
        let (mut file, mut metadata, mut coding) = (file, metadata, None);
        if self.is_precompressed {
            exchange.append_header("Vary", "Accept-Encoding")?;
            if let Some(sibling) = siblings::find_sibling(&self.root, exchange, path, &metadata) {
                (file, metadata, coding) = (sibling.file, sibling.metadata, Some(sibling.coding));
            }
        }
        let answer = FileAnswer {
            file,
            size: metadata.len(),
            version: Version::of(&metadata, self.has_portable_etags, coding, SystemTime::now()),
            content_type: &content_type(path),
            coding,
            cache_control: if is_immutable { Some(IMMUTABLE) } else { self.cache_control.as_deref() },
        };
        answer.send(exchange)
    }

    /// Whether the request names the version that the file has.
    #[cfg(feature = "static-urls")]
    #[inline]
    fn is_immutable(&self, exchange: &Exchange, file: &File, metadata: &Metadata) -> bool {
        let Some(versions) = &self.versions else { return false };
        let asked =
            exchange.request().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("v=")));
        asked.is_some_and(|asked| versions.is_current(file, metadata, asked))
    }

    #[cfg(not(feature = "static-urls"))]
    #[inline]
    fn is_immutable(&self, _: &Exchange, _: &File, _: &Metadata) -> bool {
        false
    }
}

/// For what never changes under its name: a year, the longest that caches heed (RFC 9111), and no question when a page is
/// reloaded (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

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
