//! Files for a server to send.

use std::{
    env, fs, io,
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
            let content: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            fs::write(&path, content)?;
            // As a file that was there before the server: one that has just been changed has a `Date` of its own.
            let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
            fs::File::options().write(true).open(path)?.set_modified(yesterday)?;
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
