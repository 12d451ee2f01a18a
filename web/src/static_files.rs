//! A directory of files.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpserver::{Method, StatusCode, yield_now};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::error::{Error, HttpError, Result};
use crate::etag;
use crate::exchange::Exchange;
use crate::range::Range;
use crate::request_handler::RequestHandler;

/// Serves the files of a directory: types, conditional requests and ranges, without ever leaving the directory.
///
/// * **Confined by the kernel.** Files are opened with `openat2` and `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`: `..`,
///   absolute paths and symbolic links cannot lead out, whatever happens to the directory in the meantime. A link that
///   stays inside is followed; one that leaves is 403. Linux has this call since 5.6; on older kernels, and where a
///   sandbox forbids it, [`new`](StaticFiles::new) fails.
/// * **Regular files only.** Pipes, devices and sockets are 403. Directories are their index file, if there is to be one.
/// * **Validators.** A strong `ETag` from inode, size and time of change in nanoseconds, and `Last-Modified`. Replace files
///   by renaming new ones over them, then both are always right.
/// * **Cost.** Files up to 64 KiB go out with their head in one piece. Longer ones are read and sent in pieces of 64 KiB,
///   with a turn of the loop between them, so that one download delays nobody else and no file is held in memory. Reading
///   is blocking, like all file I/O: what comes from a slow disk or a network file system stalls the loop. Such
///   files belong behind a server made for them.
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
}

/// Most that is read from a file, and held in memory, at a time.
const PIECE: u64 = 64 * 1024;

/// The name of the route's parameter, see `Application::static_handler`.
const PARAMETER: &str = "path";

impl StaticFiles {
    /// Serves the files below `directory`, without an index file. The directory stays open: it may be renamed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be opened, and when the kernel does not have `openat2` or refuses it to this process.
    pub fn new(directory: impl AsRef<Path>) -> Result<StaticFiles> {
        let root = File::open(directory)?;
        let files = StaticFiles { root, index: None, cache_control: None };
        match files.open(".") {
            Ok(_) => Ok(files),
            Err(Errno::ENOSYS | Errno::EPERM) => Err(Error::from(io::Error::new(
                io::ErrorKind::Unsupported,
                "static files need the system call openat2 (Linux 5.6 or later, not blocked by a sandbox)",
            ))),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// The file that stands for a directory, usually `index.html`. A directory is then redirected to its path with a slash
    /// at the end, so that relative links in the file work.
    pub fn index(mut self, name: impl Into<String>) -> StaticFiles {
        self.index = Some(name.into());
        self
    }

    /// The `Cache-Control` header of every file. Without one, clients decide for themselves.
    pub fn cache_control(mut self, value: impl Into<String>) -> StaticFiles {
        self.cache_control = Some(value.into());
        self
    }

    async fn serve(&self, exchange: &mut Exchange) -> Result<()> {
        let path = relative_path(exchange)?;
        let (file, metadata) = self.open_checked(&path)?;
        if metadata.is_dir() {
            return self.serve_index(exchange, &path).await;
        }
        self.send(exchange, &path, file, &metadata).await
    }

    async fn serve_index(&self, exchange: &mut Exchange, directory: &str) -> Result<()> {
        let Some(index) = &self.index else {
            return Err(forbidden("a directory"));
        };
        if !exchange.request().path().ends_with('/') {
            let location = with_slash(exchange);
            return exchange.redirect_with(StatusCode::MOVED_PERMANENTLY, &location);
        }
        let path = format!("{directory}/{index}");
        let path = path.trim_start_matches('/');
        let (file, metadata) = self.open_checked(path)?;
        self.send(exchange, path, file, &metadata).await
    }

    async fn send(&self, exchange: &mut Exchange, path: &str, file: File, metadata: &Metadata) -> Result<()> {
        if !metadata.is_file() {
            return Err(forbidden("not a regular file"));
        }
        let validators = Validators::of(metadata);
        self.set_headers(exchange, &validators)?;
        if validators.are_current(exchange) {
            exchange.set_status(StatusCode::NOT_MODIFIED);
            return Ok(());
        }
        exchange.set_header("Accept-Ranges", "bytes")?;
        let size = metadata.len();
        let (start, end) = match requested_range(exchange, &validators, size) {
            Range::Whole => (0, size),
            Range::Part { start, end } => {
                exchange.set_status(StatusCode::PARTIAL_CONTENT);
                exchange.set_header("Content-Range", format!("bytes {start}-{}/{size}", end - 1))?;
                (start, end)
            }
            Range::Unsatisfiable => {
                exchange.set_status(StatusCode::RANGE_NOT_SATISFIABLE);
                return exchange.set_header("Content-Range", format!("bytes */{size}"));
            }
        };
        exchange.set_header("Content-Type", content_type(path))?;
        if exchange.method() == Method::HEAD {
            return exchange.set_header("Content-Length", (end - start).to_string());
        }
        send_bytes(exchange, &file, start, end).await
    }

    fn set_headers(&self, exchange: &mut Exchange, validators: &Validators) -> Result<()> {
        exchange.set_header("ETag", &validators.etag)?;
        exchange.set_header("Last-Modified", httpdate::fmt_http_date(validators.modified))?;
        match &self.cache_control {
            Some(value) => exchange.set_header("Cache-Control", value),
            None => Ok(()),
        }
    }

    fn open_checked(&self, path: &str) -> Result<(File, Metadata)> {
        let file = self.open(path).map_err(open_error)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Non-blocking, because opening a pipe without a writer would otherwise wait for one.
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

    async fn get(&self, exchange: &mut Exchange) -> Result<()> {
        self.serve(exchange).await
    }

    async fn head(&self, exchange: &mut Exchange) -> Result<()> {
        self.serve(exchange).await
    }
}

/// The file's path below the root, decoded. What the kernel would refuse anyway need not be tried.
fn relative_path(exchange: &Exchange) -> Result<String> {
    if !exchange.has_path_param(PARAMETER) {
        return Ok(String::new());
    }
    let path: String = exchange.path(PARAMETER)?;
    if path.contains('\0') {
        return Err(HttpError::new(StatusCode::NOT_FOUND).into());
    }
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(forbidden("outside of the directory"));
    }
    Ok(path)
}

/// The request's target, with a slash at the end of its path. More than one slash at the beginning would lead to another
/// host.
fn with_slash(exchange: &Exchange) -> String {
    let path = exchange.request().path().trim_start_matches(['/', '\\']);
    match exchange.request().query() {
        Some(query) => format!("/{path}/?{query}"),
        None => format!("/{path}/"),
    }
}

fn open_error(error: Errno) -> Error {
    match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => HttpError::new(StatusCode::NOT_FOUND).into(),
        Errno::EXDEV | Errno::ELOOP => forbidden("a link that leaves the directory"),
        Errno::EACCES | Errno::EPERM => forbidden("no permission"),
        Errno::ENXIO | Errno::ENODEV => forbidden("not a regular file"),
        error => io::Error::from(error).into(),
    }
}

fn forbidden(reason: &'static str) -> Error {
    HttpError::new(StatusCode::FORBIDDEN).log(reason).into()
}

/// What tells whether a client's copy is still good.
struct Validators {
    etag: String,
    modified: SystemTime,
}

impl Validators {
    fn of(metadata: &Metadata) -> Validators {
        let nanoseconds = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Validators {
            etag: format!("\"{:x}-{:x}-{nanoseconds:x}\"", metadata.ino(), metadata.len()),
            modified: representable(metadata.mtime()),
        }
    }

    /// Whether the client has this already. If it names tags, they alone decide (RFC 9110, section 13.2.2).
    fn are_current(&self, exchange: &Exchange) -> bool {
        if exchange.headers().contains("if-none-match") {
            return exchange
                .headers()
                .get_all("if-none-match")
                .filter_map(|line| std::str::from_utf8(line).ok())
                .any(|line| etag::none_match_names(line, &self.etag));
        }
        exchange
            .header("if-modified-since")
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .is_some_and(|date| date >= self.modified)
    }

    /// Whether a range of what the client has goes with a range of this (RFC 9110, section 13.1.5).
    fn go_with(&self, if_range: &str) -> bool {
        if if_range.contains('"') {
            return if_range == self.etag;
        }
        httpdate::parse_http_date(if_range).is_ok_and(|date| date == self.modified)
    }
}

/// A time in whole seconds, as HTTP has them, kept within the years that an HTTP date can show.
fn representable(seconds: i64) -> SystemTime {
    const END_OF_9999: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(END_OF_9999);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Ranges mean something to GET alone (RFC 9110, section 14.2).
fn requested_range(exchange: &Exchange, validators: &Validators, size: u64) -> Range {
    let Some(range) = exchange.header("range") else {
        return Range::Whole;
    };
    let goes_with = exchange.header("if-range").is_none_or(|tag| validators.go_with(tag));
    if exchange.method() == Method::GET && goes_with { Range::parse(range, size) } else { Range::Whole }
}

/// The type by the extension. Text is taken to be UTF-8, as nearly all of it is.
fn content_type(path: &str) -> String {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = mime.type_() == mime_guess::mime::TEXT;
    if is_text && mime.get_param("charset").is_none() { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}

async fn send_bytes(exchange: &mut Exchange, file: &File, start: u64, end: u64) -> Result<()> {
    if end - start <= PIECE {
        exchange.write(read_piece(file, start, end)?);
        return Ok(());
    }
    exchange.set_header("Content-Length", (end - start).to_string())?;
    let mut at = start;
    while at < end {
        let next = end.min(at + PIECE);
        exchange.write(read_piece(file, at, next)?);
        exchange.flush().await?;
        at = next;
        yield_now().await;
    }
    Ok(())
}

/// The bytes `start..end`. An error when the file has become shorter than that.
fn read_piece(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    // At most PIECE, by the callers.
    let mut piece = vec![0; (end - start) as usize];
    match file.read_exact_at(&mut piece, start) {
        Ok(()) => Ok(piece),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(io::Error::new(error.kind(), "the file became shorter while it was sent"))
        }
        Err(error) => Err(error),
    }
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

    #[test]
    fn times_that_http_cannot_show_are_clamped() {
        assert_eq!(representable(-5), UNIX_EPOCH);
        httpdate::fmt_http_date(representable(i64::MAX));
    }
}
