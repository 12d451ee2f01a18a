//! Which version of a file is served, told by its metadata.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpserver::httputil::format_timestamp;

use crate::{
    accept_encoding::Coding,
    conditions::{Validators, whole_seconds},
};

/// The validators of a file, and the time at which they were read.
pub(super) struct Version {
    pub(super) etag: String,
    /// Never later than `now`.
    pub(super) modified: SystemTime,
    pub(super) now: SystemTime,
}

/// A change younger than this gets a `Date` of its own.
///
/// The server's `Date` is that of the loop's turn, a moment older than this reading of the clock. `Last-Modified` must
/// not be later than `Date` (RFC 9110, section 8.8.2.1), so for young files both come from one reading. No turn lasts a
/// minute.
const YOUNG: Duration = Duration::from_secs(60);

impl Version {
    /// Two files of one length and one time have the same tag if it is `portable`; otherwise the inode tells them apart. A
    /// compressed file has the `coding` in its tag: no other representation has the same (RFC 9110, section 8.8.3.3).
    #[inline]
    pub(super) fn of(metadata: &Metadata, portable: bool, coding: Option<Coding>, now: SystemTime) -> Version {
        let nanoseconds = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let length = metadata.len();
        let etag = match portable {
            true => format!("\"{length:x}-{nanoseconds:x}\""),
            false => format!("\"{:x}-{length:x}-{nanoseconds:x}\"", metadata.ino()),
        };
        let etag = match coding {
            Some(coding) => format!("{}-{}\"", etag.trim_end_matches('"'), coding.name()),
            None => etag,
        };
        let now = whole_seconds(now);
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.mtime()).unwrap_or(0).min(LATEST));
        Version { etag, modified: whole_seconds(changed).min(now), now }
    }

    /// The value of a `Date` header, if the answer needs one of its own.
    #[inline]
    pub(super) fn date(&self) -> Option<String> {
        let age = self.now.duration_since(self.modified).unwrap_or_default();
        (age < YOUNG).then(|| format_timestamp(self.now))
    }

    #[inline]
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators { etag: Some(self.etag.as_bytes()), modified: Some(self.modified) }
    }
}

/// Keeps the sum with the epoch within what `SystemTime` can hold. Beyond the year 9999, which is all that HTTP can show.
const LATEST: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn version(file: &File, portable: bool, now: SystemTime) -> Version {
        Version::of(&file.metadata().unwrap(), portable, None, now)
    }

    #[test]
    fn a_change_is_never_later_than_the_answer() {
        let path = std::env::temp_dir().join(format!("waterspout-version-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(at(1_000)).unwrap();

        let future = version(&file, false, at(900));
        assert_eq!((future.modified, future.now), (at(900), at(900)));
        assert_eq!(future.date(), Some(format_timestamp(at(900))));
        let young = version(&file, false, at(1_059) + Duration::from_millis(900));
        assert_eq!((young.modified, young.now), (at(1_000), at(1_059)));
        assert!(young.date().is_some());
        assert_eq!(version(&file, false, at(1_060)).date(), None);

        assert_eq!(version(&file, true, at(2_000)).etag, "\"0-e8d4a51000\"");
        assert_ne!(version(&file, false, at(2_000)).etag, version(&file, true, at(2_000)).etag);
    }
}
