use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use httpserver::StatusCode;
use nix::fcntl::OFlag;

use super::{answer::FileAnswer, content_type, forbidden, version::Version};
use crate::{
    disposition::content_disposition,
    error::{Error, HttpError, Result},
    exchange::Exchange,
};

/// A file that a handler answers with: [`Exchange::send_file`].
///
/// It is opened when this is made, and the answer is what it holds then. A path is opened as it is, links followed: never
/// make one from what a client sent. A directory of files that clients choose from is what
/// [`StaticFiles`](crate::StaticFiles) is for.
///
/// Opening it does not wait for the other end of a pipe, but it does wait for the disk, and the loop with it. Over a slow
/// network, open it on another thread ([`run_in_executor`](crate::run_in_executor)) and pass the [`File`].
///
/// # Examples
///
/// ```
/// use web::{Exchange, NamedFile};
///
/// async fn invoice(exchange: &mut Exchange) -> web::Result<()> {
///     let number: u32 = exchange.path("number")?;
///     let file = NamedFile::open(format!("invoices/{number}.pdf"))?; // 404 if there is none
///     exchange.send_file(file.attachment(format!("Rechnung für Ada {number}.pdf")))
/// }
/// ```
#[derive(Debug)]
pub struct NamedFile {
    file: File,
    metadata: Metadata,
    content_type: String,
    disposition: Option<String>,
}

impl NamedFile {
    /// Opens the regular file at `path`. Its type is that of the name's extension.
    ///
    /// # Errors
    ///
    /// 404 if there is no such file, 403 if it may not be read or is no regular file. Anything else that keeps it from being
    /// opened is a 500.
    #[inline]
    pub fn open(path: impl AsRef<Path>) -> Result<NamedFile> {
        let path = path.as_ref();
        let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(open_error)?;
        NamedFile::from_file(file, path.to_string_lossy())
    }

    /// A file that is open already. `name` says its type, and nothing else; it may be a path.
    ///
    /// # Errors
    ///
    /// 403 if it is no regular file.
    #[inline]
    pub fn from_file(file: File, name: impl AsRef<str>) -> Result<NamedFile> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(forbidden("not a regular file"));
        }
        Ok(NamedFile { file, metadata, content_type: content_type(name.as_ref()), disposition: None })
    }

    /// Has the client store the file under `name`: `Content-Disposition: attachment`.
    ///
    /// Any text will do; see [`Exchange::attachment`].
    #[must_use]
    #[inline]
    pub fn attachment(mut self, name: impl AsRef<str>) -> NamedFile {
        self.disposition = Some(content_disposition("attachment", name.as_ref()));
        self
    }

    /// Has the client show the file if it can, and store it under `name` if it is stored: `Content-Disposition: inline`.
    #[must_use]
    #[inline]
    pub fn inline(mut self, name: impl AsRef<str>) -> NamedFile {
        self.disposition = Some(content_disposition("inline", name.as_ref()));
        self
    }

    /// Sets the `Content-Type`, instead of that of the name.
    #[must_use]
    #[inline]
    pub fn content_type(mut self, value: impl Into<String>) -> NamedFile {
        self.content_type = value.into();
        self
    }

    #[inline]
    fn send(self, exchange: &mut Exchange) -> Result<()> {
        exchange.start_body_over()?;
        if let Some(disposition) = self.disposition {
            exchange.set_header("Content-Disposition", disposition)?;
        }
        let answer = FileAnswer {
            size: self.metadata.len(),
            version: Version::of(&self.metadata, false, None, SystemTime::now()),
            file: self.file,
            content_type: &self.content_type,
            coding: None,
            cache_control: None,
        };
        answer.send(exchange)?;
        exchange.finish();
        Ok(())
    }
}

impl Exchange {
    /// Answers with a file: a path, a [`NamedFile`] with more to say, or a [`File`]. What was written before is dropped, and
    /// nothing can be added.
    ///
    /// The answer is that of [`StaticFiles`](crate::StaticFiles): `ETag` and `Last-Modified`, 304 and 412 by the conditions
    /// of the request, ranges with `If-Range`, the bytes of longer files by the kernel. Headers that were set before stay,
    /// such as a `Cache-Control`. With a status other than 200 the file is sent as it is, without conditions and ranges.
    ///
    /// The type is that of the name's extension, and `application/octet-stream` for a bare [`File`].
    ///
    /// # Errors
    ///
    /// 404 if there is no such file, 403 if it may not be read or is no regular file, 412 when a condition of the request
    /// does not hold; [`Error::HeadSent`] after the first [`flush`](Exchange::flush), [`Error::Finished`] when the response
    /// was finished before.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::Exchange;
    ///
    /// async fn manual(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.set_header("Cache-Control", "max-age=3600")?;
    ///     exchange.send_file("docs/manual.pdf")
    /// }
    /// ```
    #[inline]
    pub fn send_file<F>(&mut self, file: F) -> Result<()>
    where
        F: TryInto<NamedFile>,
        Error: From<F::Error>,
    {
        self.check_open()?;
        let file: NamedFile = file.try_into()?;
        file.send(self)
    }
}

macro_rules! named_files {
    ($($type:ty: $value:ident => $open:expr;)*) => {$(
        impl TryFrom<$type> for NamedFile {
            type Error = Error;

            #[inline]
            fn try_from($value: $type) -> Result<NamedFile> {
                $open
            }
        }
    )*};
}

named_files! {
    &str: path => NamedFile::open(path);
    String: path => NamedFile::open(path);
    &String: path => NamedFile::open(path);
    &Path: path => NamedFile::open(path);
    PathBuf: path => NamedFile::open(path);
    &PathBuf: path => NamedFile::open(path);
    File: file => NamedFile::from_file(file, "");
}

#[inline]
fn open_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            HttpError::new(StatusCode::NOT_FOUND).log(error.to_string()).into()
        }
        io::ErrorKind::PermissionDenied => forbidden("no permission"),
        // Of a socket, and of a device that is not there.
        _ if [Some(nix::errno::Errno::ENXIO as i32), Some(nix::errno::Errno::ENODEV as i32)]
            .contains(&error.raw_os_error()) =>
        {
            forbidden("not a regular file")
        }
        _ => error.into(),
    }
}
