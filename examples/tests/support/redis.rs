//! A Redis server for tests.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::support::eventually;

/// A server of its own, on a Unix socket; killed when dropped.
pub struct RedisServer {
    directory: PathBuf,
    process: Child,
}

impl RedisServer {
    /// `None` where the program is not installed, which is said.
    pub fn start() -> Option<RedisServer> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("waterspout-chat-redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let socket = directory.join("redis.sock");
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            eprintln!("skipped: there is no redis-server in the PATH");
            let _ = fs::remove_dir_all(&directory);
            return None;
        };
        let server = RedisServer { directory, process };
        eventually("the server listens", || UnixStream::connect(&socket).ok());
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.directory.join("redis.sock").display())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
