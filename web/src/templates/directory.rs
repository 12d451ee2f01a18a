//! Templates in files.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use minijinja::{Error, ErrorKind, TemplateSource};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

use super::Format;

/// A directory that no name leads out of.
#[derive(Debug)]
pub(super) struct Directory {
    root: File,
    /// For messages, and for listing it.
    path: PathBuf,
}

impl Directory {
    #[inline]
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        let unusable = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot read templates from {}: {error}", path.display()))
        };
        let directory = Directory { root: File::open(path).map_err(unusable)?, path: path.to_owned() };
        #[cfg(feature = "debug")]
        crate::debug::watch(path);
        match directory.open_file(".") {
            Ok(_) => Ok(directory),
            Err(Errno::ENOSYS | Errno::EPERM) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "templates in a directory need the system call openat2 (Linux 5.6 or later, not blocked by a sandbox)",
            )),
            Err(error) => Err(unusable(error.into())),
        }
    }

    /// The text of a template; `None` if there is none of that name. While `reloads` is set it is looked at again.
    #[inline]
    pub(super) fn load(
        self: &Arc<Directory>,
        name: &str,
        reloads: &Arc<AtomicBool>,
    ) -> Result<Option<TemplateSource>, Error> {
        let Some((mut file, stamp)) = self.find(name)? else { return Ok(None) };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| unreadable(name, error))?;
        let (directory, name, reloads) = (Arc::clone(self), name.to_owned(), Arc::clone(reloads));
        let is_current = move || {
            !reloads.load(Ordering::Relaxed)
                || matches!(directory.find(&name), Ok(Some((_, current))) if current == stamp)
        };
        Ok(Some(TemplateSource::new(text).with_uptodate_check(is_current)))
    }

    /// The names of all templates.
    #[inline]
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.list("", &mut names)?;
        names.sort_unstable();
        Ok(names)
    }

    #[inline]
    fn list(&self, below: &str, names: &mut Vec<String>) -> io::Result<()> {
        for entry in self.path.join(below).read_dir()? {
            let entry = entry?;
            // What is no text has no name that a program could write down.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_hidden(&name) {
                continue;
            }
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.list(&path, names)?;
            } else if is_text(&path) {
                names.push(path);
            }
        }
        Ok(())
    }

    #[inline]
    fn find(&self, name: &str) -> Result<Option<(File, Stamp)>, Error> {
        if name.is_empty() || name.contains('\0') || name.split('/').any(is_hidden) {
            return Ok(None);
        }
        let file = match self.open_file(name) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => return Ok(None),
            Err(Errno::EXDEV | Errno::ELOOP) => {
                let reason = "it leads out of the directory";
                return Err(Error::new(ErrorKind::InvalidOperation, format!("template {name:?}: {reason}")));
            }
            Err(error) => return Err(unreadable(name, error.into())),
        };
        let metadata = file.metadata().map_err(|error| unreadable(name, error))?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("template {name:?} is no file")));
        }
        Ok(Some((file, stamp(&metadata))))
    }

    /// Non-blocking, because opening a pipe without a writer would otherwise wait for one.
    #[inline]
    fn open_file(&self, name: &str) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // The kernel gives up with EAGAIN when something was renamed while it looked at a `..` in a link.
        for _ in 0..8 {
            match openat2(&self.root, name, how) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(File::from(result?)),
            }
        }
        Err(Errno::EAGAIN)
    }
}

/// What differs when a file has changed: inode, length, time of the change. A file that an editor has replaced by another
/// one of the same length within the clock's tick has another inode.
type Stamp = (u64, u64, i64, i64);

#[inline]
fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

/// `.`, `..` and the files that editors and version control keep.
#[inline]
fn is_hidden(segment: &str) -> bool {
    segment.starts_with('.')
}

/// Whether a file is taken for a template when all are compiled. Pictures lie beside them in some projects.
#[inline]
fn is_text(path: &str) -> bool {
    let named =
        path.ends_with(".txt") || path.ends_with(".j2") || path.ends_with(".jinja") || path.ends_with(".jinja2");
    named || Format::of(path) != Format::of("")
}

#[inline]
fn unreadable(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("cannot read template {name:?}")).with_source(error)
}
