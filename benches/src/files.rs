//! Files for a server to send.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

/// A directory with `1k.bin`, `100k.bin` and `10m.bin`, removed in the end.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// # Errors
    ///
    /// When the directory for temporary files takes none.
    pub fn create() -> io::Result<Files> {
        let files = Files { directory: env::temp_dir().join(format!("waterspout-files-{}", process::id())) };
        fs::create_dir_all(&files.directory)?;
        for (name, length) in [("1k.bin", 1 << 10), ("100k.bin", 100 << 10), ("10m.bin", 10 << 20)] {
            let path = files.directory.join(name);
            let mut file = fs::File::create(path)?;
            // In pieces. glibc takes a large block that is freed for a sign of more to come: it would keep twice as much for
            // as long as the server runs, and what connections leave with it.
            let piece: Vec<u8> = (0..=u8::MAX).cycle().take(length.min(64 << 10)).collect();
            let mut left = length;
            while left > 0 {
                let part = left.min(piece.len());
                file.write_all(&piece[..part])?;
                left -= part;
            }
            // As a file that was there before the server: one that has just been changed has a `Date` of its own.
            let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
            file.set_modified(yesterday)?;
        }
        Ok(files)
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
