use std::{
    collections::HashMap,
    fmt,
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use httpserver::{
    iostream::ioloop::{Job, report_failure},
    run_in_executor,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1_smol::Sha1;

use super::{StaticFiles, forbidden, open_error, path, root::Root};
use crate::{error::Result, exchange::Exchange};

/// URLs of static files that change when the files do: `/static/app.css?v=7d0a1c2e...`.
///
/// The version is the beginning of the content's SHA-1. [`StaticFiles`] recognises it: a file that is asked for by its current
/// version may be kept for a year without asking again (`Cache-Control: public, max-age=31536000, immutable`), and by
/// another one is sent as if it had none.
///
/// Made by [`StaticFiles::urls`]. Clones share what they know, and may go to other threads, which templates and
/// [`threads::serve`](crate::threads::serve) ask for.
///
/// # Cost
///
/// Each URL opens its file, to see whether it is the one that was read before; this takes some microseconds. A file that is
/// not is read. Up to 256 KiB that is done at once, which takes less than a millisecond; a longer one is read on another
/// thread, and until that is done its URLs have no version. [`hashed_url`](StaticUrls::hashed_url) waits for it instead.
///
/// # Examples
///
/// ```no_run
/// use web::{Application, Exchange, StaticFiles};
///
/// # fn main() -> web::Result<()> {
/// let mut assets = StaticFiles::new("assets")?;
/// let urls = assets.urls("/static");
/// let application = Application::new()
///     .static_handler("/static", assets)
///     .get("/", async move |exchange: &mut Exchange| {
///         exchange.write(format!("<link rel=stylesheet href=\"{}\">", urls.url("app.css")));
///         Ok(())
///     });
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StaticUrls {
    prefix: Arc<str>,
    versions: Versions,
}

/// What a path is in a URL as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl StaticUrls {
    /// Returns the URL of the file at `path`, below the directory: with its version if it is known, and without one while a
    /// long file is being read.
    ///
    /// For a path that names no file of the directory, the URL has no version, and an error is logged. Nothing outside of
    /// the directory is ever read.
    #[inline]
    pub fn url(&self, path: &str) -> String {
        let version = self.versions.open(path).and_then(|(file, metadata)| self.versions.version(file, &metadata));
        match version {
            Ok(version) => self.join(path, version.as_deref()),
            Err(error) => {
                report_failure("web", format_args!("no version of the static file {path:?}: {error}"));
                self.join(path, None)
            }
        }
    }

    /// Returns the URL of the file at `path` with its version, once that is known. At the start of a program it makes the
    /// versions of long files known beforehand.
    ///
    /// # Errors
    ///
    /// 404 and 403 as for a request for the file, and those of reading it.
    ///
    /// # Cancel safety
    ///
    /// A file that is being read is read to its end, and its version is known then.
    #[inline]
    pub async fn hashed_url(&self, path: &str) -> Result<String> {
        let (file, metadata) = self.versions.open(path)?;
        let version = match self.versions.known(&metadata) {
            Some(version) => version,
            None => self.versions.read_elsewhere(file, &metadata).await??,
        };
        Ok(self.join(path, Some(&version)))
    }

    #[inline]
    fn join(&self, path: &str, version: Option<&str>) -> String {
        let url = format!("{}/{}", self.prefix, utf8_percent_encode(path, PATH));
        match version {
            Some(version) => url + "?v=" + version,
            None => url,
        }
    }
}

impl Exchange {
    /// Returns the URL of the static file at `path`, with its version: [`StaticUrls::url`] of the handle that the application
    /// has as its state.
    ///
    /// # Errors
    ///
    /// When there is no [`StaticUrls`] among the [states](crate::Application::state): 500.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use web::{Application, Exchange, StaticFiles};
    ///
    /// async fn page(exchange: &mut Exchange) -> web::Result<()> {
    ///     let style = exchange.static_url("app.css")?;
    ///     exchange.write(format!("<link rel=stylesheet href=\"{style}\">"));
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> web::Result<()> {
    /// let mut assets = StaticFiles::new("assets")?;
    /// let urls = assets.urls("/static");
    /// let application = Application::new().state(urls).static_handler("/static", assets).get("/", page);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn static_url(&self, path: &str) -> Result<String> {
        Ok(self.state::<StaticUrls>()?.url(path))
    }
}

#[cfg(feature = "templates")]
impl crate::templates::Templates {
    /// Gives templates the function `static_url`: `{{ static_url("app.css") }}` is [`StaticUrls::url`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use web::{Application, StaticFiles, templates::Templates};
    ///
    /// # fn main() -> web::Result<()> {
    /// let mut assets = StaticFiles::new("assets")?;
    /// let templates = Templates::from_directory("templates")?.static_urls(&assets.urls("/static"));
    /// let application = Application::new().static_handler("/static", assets).templates(templates);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn static_urls(self, urls: &StaticUrls) -> crate::templates::Templates {
        use crate::{
            escape::xhtml_escape,
            templates::{Value, from_args},
        };

        let urls = urls.clone();
        self.function("static_url", move |_, arguments| {
            let (path,): (&str,) = from_args(arguments)?;
            // Escaped here: the engine would write every slash as an entity.
            Ok(Value::from_safe_string(xhtml_escape(&urls.url(path)).into_owned()))
        })
    }
}

impl fmt::Debug for StaticUrls {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticUrls").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl StaticFiles {
    /// Returns a handle that makes URLs with versions of these files. `prefix` is where they will be served, as it is given to
    /// [`static_handler`](crate::Application::static_handler), or a whole URL of another host that serves the same files.
    ///
    /// From then on a file that is asked for with its current version is sent with `Cache-Control: public,
    /// max-age=31536000, immutable`, in place of that of [`cache_control`](StaticFiles::cache_control).
    #[inline]
    pub fn urls(&mut self, prefix: &str) -> StaticUrls {
        let new = || Versions {
            root: Arc::clone(&self.root),
            serves_dot_files: self.serves_dot_files,
            known: Arc::default(),
        };
        let versions = self.versions.get_or_insert_with(new).clone();
        StaticUrls { prefix: prefix.trim_end_matches('/').into(), versions }
    }
}

/// The versions of files, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    root: Arc<Root>,
    serves_dot_files: bool,
    /// By the file itself: of names, `a/./b` among them, it may have any number.
    known: Arc<Mutex<HashMap<Identity, Known>>>,
}

/// The device and the inode.
type Identity = (u64, u64);

/// What is known of a file.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// `None` while it is read.
    version: Option<Arc<str>>,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    #[inline]
    fn of(metadata: &Metadata) -> Stamp {
        Stamp { size: metadata.len(), changed: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

/// Files up to this many bytes are read where they are asked for.
const MOST_AT_ONCE: u64 = 256 * 1024;

/// So many digits of the SHA-1 are the version: 80 bits.
const DIGITS: usize = 20;

/// With so many files known, all are forgotten: each that is replaced by another one leaves something behind.
const MOST_KNOWN: usize = 16 * 1024;

impl Versions {
    /// Whether `asked` is the version of an open file. False while that is being found out.
    #[inline]
    pub(super) fn is_current(&self, file: &File, metadata: &Metadata, asked: &str) -> bool {
        let version = match self.known(metadata) {
            Some(version) => Some(version),
            None => file.try_clone().map_err(Into::into).and_then(|file| self.version(file, metadata)).ok().flatten(),
        };
        version.is_some_and(|version| *version == *asked)
    }

    /// Opens the regular file at `path`, by the rules for requests.
    ///
    /// # Errors
    ///
    /// 404 and 403.
    #[inline]
    fn open(&self, path: &str) -> Result<(File, Metadata)> {
        path::check(path, self.serves_dot_files)?;
        let (file, metadata) = self.root.look_up(path).map_err(open_error)?;
        match metadata.is_file() {
            true => Ok((file, metadata)),
            false => Err(forbidden("not a regular file")),
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Known>> {
        // Nothing that holds it panics half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn known(&self, metadata: &Metadata) -> Option<Arc<str>> {
        let known = self.lock();
        known.get(&identity(metadata)).filter(|known| known.stamp == Stamp::of(metadata))?.version.clone()
    }

    /// The version of an open file; `None` while it is being read elsewhere.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    #[inline]
    fn version(&self, file: File, metadata: &Metadata) -> Result<Option<Arc<str>>> {
        if let Some(version) = self.known(metadata) {
            return Ok(Some(version));
        }
        if metadata.len() <= MOST_AT_ONCE {
            let version = version_of(&file)?;
            self.set(metadata, Some(Arc::clone(&version)));
            return Ok(Some(version));
        }
        if self.set(metadata, None) {
            // It goes on by itself, and leaves what it finds where it is looked for.
            drop(self.read_elsewhere(file, metadata));
        }
        Ok(None)
    }

    /// Notes what is known. False if somebody is reading the file already.
    #[inline]
    fn set(&self, metadata: &Metadata, version: Option<Arc<str>>) -> bool {
        let stamp = Stamp::of(metadata);
        let mut known = self.lock();
        let found = known.get(&identity(metadata)).is_some_and(|known| known.stamp == stamp);
        if found && version.is_none() {
            return false;
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(identity(metadata), Known { stamp, version });
        true
    }

    /// Reads a file on another thread. A failure is forgotten, so that the next one who asks tries again.
    #[inline]
    fn read_elsewhere(&self, file: File, metadata: &Metadata) -> Job<io::Result<Arc<str>>> {
        let (this, metadata) = (self.clone(), metadata.clone());
        run_in_executor(move || {
            let version = version_of(&file);
            match &version {
                Ok(version) => drop(this.set(&metadata, Some(Arc::clone(version)))),
                Err(_) => drop(this.lock().remove(&identity(&metadata))),
            }
            version
        })
    }
}

#[inline]
fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Reads a file to its end, from its beginning wherever it stands.
#[inline]
fn version_of(file: &File) -> io::Result<Arc<str>> {
    let mut hash = Sha1::new();
    let mut piece = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at) {
            Ok(0) => return Ok(hash.digest().to_string()[..DIGITS].into()),
            Ok(count) => {
                hash.update(&piece[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn a_file_is_known_once_whatever_it_is_called() {
        let directory = env::temp_dir().join(format!("waterspout-versions-{}", process::id()));
        fs::create_dir_all(directory.join("sub")).unwrap();
        fs::write(directory.join("sub/a.txt"), "text").unwrap();
        let mut files = StaticFiles::new(&directory).unwrap();
        let urls = files.urls("/");
        let versions = files.versions.clone().unwrap();
        for path in ["sub/a.txt", "./sub/a.txt", "sub//a.txt", "sub/././a.txt"] {
            let (file, metadata) = versions.open(path).unwrap();
            assert!(!versions.is_current(&file, &metadata, "another"));
            assert!(urls.url(path).contains("?v="), "{path}");
        }
        assert_eq!(versions.lock().len(), 1);
        fs::remove_dir_all(directory).unwrap();
    }
}
