//! A directory to serve.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use web::Application;

use super::{Server, serve, sockets};

/// A directory that is removed in the end. `site/` is what is served; `secret.txt` and `site_evil/` are beside it.
pub struct Site(pub PathBuf);

impl Site {
    pub fn new() -> Site {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("waterspout-static-{}-{count}", std::process::id());
        let site = Site(std::env::temp_dir().join(name));
        fs::create_dir_all(site.0.join("site/sub")).unwrap();
        fs::create_dir_all(site.0.join("site_evil")).unwrap();
        fs::write(site.0.join("secret.txt"), "secret").unwrap();
        fs::write(site.0.join("site_evil/x.txt"), "secret").unwrap();
        site.write("letters.txt", "abcdefghijklmnopqrstuvwxyz");
        site.write("sub/index.html", "<p>sub</p>");
        site
    }

    pub fn root(&self) -> PathBuf {
        self.0.join("site")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        // 9 September 2001, 01:46:40.5: with a fraction of a second, which HTTP dates do not have.
        file.set_modified(UNIX_EPOCH + Duration::from_millis(1_000_000_000_500)).unwrap();
        path
    }

    pub fn serve(&self) -> Server {
        let root = self.root();
        serve(move || Application::new().static_files("/static", root).unwrap())
    }

    /// Over TCP, to which the kernel sends large files by itself.
    pub fn serve_by_tcp(&self) -> Server {
        let root = self.root();
        sockets::serve(move || Application::new().static_files("/static", root).unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// When the files of a site were changed.
pub const MODIFIED: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
