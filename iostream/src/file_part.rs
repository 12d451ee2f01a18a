//! What is sent of a file.

use std::{
    fmt,
    fs::File,
    io,
    ops::{Bound, Range, RangeBounds},
    os::unix::fs::FileExt,
    rc::Rc,
};

use bytes::Bytes;

use crate::error::kind;

/// How much of a file is read at a time when its bytes have to pass through the process.
const READ_AT_ONCE: u64 = 64 * 1024;

/// A part of a regular file that is to be sent or read: see [`IOStream::send_file_behind`](crate::IOStream::send_file_behind).
///
/// Several parts may share a file: its own position is neither used nor moved. Cheap to clone.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use iostream::FilePart;
///
/// let mut part = FilePart::new(File::open("Cargo.toml")?, 0..9)?;
/// assert_eq!(part.len(), 9);
/// assert_eq!(part.read().unwrap()?, "[package]");
/// assert!(part.read().is_none());
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct FilePart {
    file: Rc<File>,
    range: Range<u64>,
}

impl FilePart {
    /// The bytes of `file` in `range`; `..` is all of it. Asks the system for the length of the file.
    ///
    /// # Errors
    ///
    /// When `file` is no regular file, when `range` does not lie within it, and when the system does not tell.
    #[inline]
    pub fn new(file: impl Into<Rc<File>>, range: impl RangeBounds<u64>) -> io::Result<FilePart> {
        let file = file.into();
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return invalid("only a part of a regular file can be sent".into());
        }
        FilePart::within(file, metadata.len(), range)
    }

    /// [`new`](FilePart::new) for a regular file of which the caller has asked the length, in bytes. Saves a system call.
    ///
    /// A file that turns out to be shorter is one that has been cut short.
    ///
    /// # Errors
    ///
    /// When `range` does not lie within `length`.
    #[inline]
    pub fn within(file: impl Into<Rc<File>>, length: u64, range: impl RangeBounds<u64>) -> io::Result<FilePart> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => length,
        };
        if start > end || end > length {
            return invalid(format!("the range {start}..{end} is not within a file of {length} bytes"));
        }
        Ok(FilePart { file: file.into(), range: start..end })
    }

    /// The length of the part, in bytes.
    #[inline]
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Reads the next bytes, up to 64 KiB, and takes them off the part; `None` at its end. What is not in the page cache is
    /// read from the disk meanwhile, and the loop waits for it.
    ///
    /// # Errors
    ///
    /// Those of the system, and `UnexpectedEof` for a file that has been cut short.
    #[inline]
    pub fn read(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_empty() {
            return None;
        }
        let read = self.next();
        if let Ok(bytes) = &read {
            self.advance(bytes.len() as u64);
        }
        Some(read)
    }

    /// The next bytes, at least one of those that there have to be.
    pub(crate) fn next(&self) -> io::Result<Bytes> {
        // Cannot be more than READ_AT_ONCE.
        let mut bytes = vec![0; self.len().min(READ_AT_ONCE) as usize];
        let count = loop {
            match self.file.read_at(&mut bytes, self.range.start) {
                Err(error) if kind(&error) == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            let text = format!("the file has been cut short, to {} bytes or less", self.range.start);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        bytes.truncate(count);
        Ok(Bytes::from(bytes))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file it begins.
    pub(crate) fn start(&self) -> u64 {
        self.range.start
    }

    pub(crate) fn advance(&mut self, count: u64) {
        self.range.start += count;
    }
}

#[cold]
fn invalid(reason: String) -> io::Result<FilePart> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

impl fmt::Debug for FilePart {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePart({:?})", self.range)
    }
}
