use std::{
    fs::{File, Metadata},
    io,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

use crate::error::{Error, Result};

/// A directory out of which no path leads: the kernel sees to that.
#[derive(Debug)]
pub(super) struct Root {
    directory: File,
}

impl Root {
    /// # Errors
    ///
    /// When the directory cannot be opened, and when the kernel does not have `openat2` or refuses it to this process.
    #[inline]
    pub(super) fn new(path: &Path) -> Result<Root> {
        let unusable = |error: io::Error| -> Error {
            io::Error::new(error.kind(), format!("cannot serve files from {path:?}: {error}")).into()
        };
        let root = Root { directory: File::open(path).map_err(unusable)? };
        match root.open(".") {
            Ok(_) => Ok(root),
            Err(Errno::ENOSYS | Errno::EPERM) => Err(Error::from(io::Error::new(
                io::ErrorKind::Unsupported,
                "static files need the system call openat2 (Linux 5.6 or later, not blocked by a sandbox)",
            ))),
            Err(error) => Err(unusable(error.into())),
        }
    }

    /// Opens what is at `path` below the directory; nothing is the directory itself.
    ///
    /// Non-blocking, because opening a pipe without a writer would otherwise wait for one.
    #[inline]
    pub(super) fn open(&self, path: &str) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.is_empty() { "." } else { path };
        // The kernel gives up with EAGAIN when something was renamed while it looked at a `..` in a link.
        for _ in 0..8 {
            match openat2(&self.directory, path, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(File::from(result?)),
            }
        }
        Err(Errno::EAGAIN)
    }

    /// [`open`](Root::open), with what it turned out to be.
    #[inline]
    pub(super) fn look_up(&self, path: &str) -> Result<(File, Metadata), Errno> {
        let file = self.open(path)?;
        let metadata = file.metadata().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        Ok((file, metadata))
    }
}
