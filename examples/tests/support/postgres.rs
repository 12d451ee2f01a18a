//! PostgreSQL for tests: a server that they start themselves, or one that they are given.

use std::{
    env,
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use iostream::{IOStream, TcpClient, spawn};
use tokio_postgres::{Client, Config, NoTls, config::Host};

/// Longer than a server takes to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server to use instead of one that is started.
const GIVEN: &str = "WATERSPOUT_POSTGRES";

/// A server.
pub struct Postgres {
    url: String,
    /// `None` for one that was given.
    own: Option<Own>,
}

/// On a Unix socket in a directory of its own; killed when dropped.
struct Own {
    directory: PathBuf,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    process: Child,
}

/// A database of its own for a test.
pub struct Database {
    url: String,
    config: Config,
    server: String,
    name: String,
}

/// Where a server listens.
#[derive(Clone)]
pub struct Address(Host, u16);

impl Postgres {
    /// A server of its own, unless the tests are given one, which they cannot stop.
    pub fn start() -> Option<Postgres> {
        if env::var_os(GIVEN).is_some() {
            eprintln!("skipped: the server of {GIVEN} is not to be stopped");
            return None;
        }
        let own = Own::start();
        Some(Postgres { url: format!("host={} user=postgres", own.directory.display()), own: Some(own) })
    }

    pub fn start_or_given() -> Postgres {
        match env::var(GIVEN) {
            Ok(url) => Postgres { url, own: None },
            Err(_) => Postgres::start().expect("none was given"),
        }
    }

    pub async fn make_database(&self) -> Database {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("waterspout_test_{}_{number}", std::process::id());
        let config: Config = self.url.parse().expect("the URL of a database");
        let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        connect(&config).await.batch_execute(&make).await.expect("it may make databases");
        let mut config = config;
        config.dbname(&name);
        Database { url: words(&config), config, server: self.url.clone(), name }
    }

    /// As by a crash: without a word to anybody.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("it is not to be stopped");
        own.process.kill().expect("it runs");
        own.process.wait().expect("it was started");
    }

    pub fn start_again(&mut self) {
        let own = self.own.as_mut().expect("it was started");
        own.process = own.serve();
    }
}

impl Own {
    fn start() -> Own {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("waterspout-postgres-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let programs = programs().expect("PostgreSQL is installed");
        // It refuses to run as root.
        let is_root = fs::metadata(&directory).expect("it was made").uid() == 0;
        let user = is_root.then(|| (id("-u"), id("-g")));
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid)).expect("root may do so");
        }
        let made = command(&programs.join("initdb"), user, &directory)
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata=data",
            ])
            .stdout(Stdio::null())
            .status()
            .expect("initdb runs");
        assert!(made.success(), "{made}");
        let process = serve(&programs, user, &directory);
        Own { directory, programs, user, process }
    }

    fn serve(&self) -> Child {
        serve(&self.programs, self.user, &self.directory)
    }
}

/// Starts the server, and returns when it answers. After a crash it may have to wait for children of the one before.
fn serve(programs: &Path, user: Option<(u32, u32)>, directory: &Path) -> Child {
    let began = Instant::now();
    loop {
        let log = File::options().append(true).create(true).open(directory.join("log")).expect("a file");
        let mut process = command(&programs.join("postgres"), user, directory)
            .args(["-D", "data", "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-k"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres runs");
        while process.try_wait().expect("it was started").is_none() {
            let ready = command(&programs.join("pg_isready"), user, directory)
                .args(["--quiet", "--host"])
                .arg(directory)
                .status()
                .expect("pg_isready runs");
            if ready.success() {
                return process;
            }
            let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "the server does not start: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Database {
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn address(&self) -> Address {
        Address(self.config.get_hosts()[0].clone(), self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// Where the same database is found through a port of this machine.
    pub fn url_through(&self, address: std::net::SocketAddr) -> String {
        let mut through = Config::new();
        through.host(address.ip().to_string()).port(address.port()).dbname(&self.name);
        self.config.get_user().map(|user| through.user(user));
        self.config.get_password().map(|password| through.password(password));
        words(&through)
    }

    pub async fn client(&self) -> Client {
        connect(&self.config).await
    }

    pub async fn execute(&self, statements: &str) {
        self.client().await.batch_execute(statements).await.expect("it is done");
    }

    pub async fn number(&self, query: &str) -> i64 {
        self.client().await.query_one(query, &[]).await.expect("a number").get(0)
    }

    /// Removes it, whoever uses it still.
    pub async fn remove(&self) {
        let server = self.server.parse().expect("it was one before");
        let remove = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        connect(&server).await.batch_execute(&remove).await.expect("it is its owner");
    }
}

impl Address {
    pub async fn connect(&self) -> iostream::Result<IOStream> {
        match &self.0 {
            Host::Unix(directory) => IOStream::connect_unix(directory.join(format!(".s.PGSQL.{}", self.1))).await,
            Host::Tcp(name) => TcpClient::new().connect(name, self.1).await,
        }
    }
}

async fn connect(config: &Config) -> Client {
    let address = Address(config.get_hosts()[0].clone(), config.get_ports().first().copied().unwrap_or(5432));
    let stream = address.connect().await.expect("the server listens");
    let (client, connection) = config.connect_raw(stream, NoTls).await.expect("a session");
    spawn(async move { _ = connection.await });
    client
}

/// As much of a configuration as the tests need, in words.
fn words(config: &Config) -> String {
    let mut words = match &config.get_hosts()[0] {
        Host::Unix(directory) => format!("host={}", directory.display()),
        Host::Tcp(name) => format!("host={name}"),
    };
    config.get_ports().iter().for_each(|port| words += &format!(" port={port}"));
    config.get_user().iter().for_each(|user| words += &format!(" user={user}"));
    config.get_dbname().iter().for_each(|name| words += &format!(" dbname={name}"));
    if let Some(password) = config.get_password() {
        words += &format!(" password={}", String::from_utf8_lossy(password));
    }
    words
}

/// Where the programs are: in the PATH, or the latest of those that Debian keeps out of it.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    debian.sort_by_key(|path| path.iter().rev().nth(1).and_then(|version| version.to_str()?.parse::<u32>().ok()));
    let is_complete = |directory: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|program| directory.join(program).is_file())
    };
    env::split_paths(&path).chain(debian.into_iter().rev()).find(is_complete)
}

/// A program, as another user if there is one given.
fn command(program: &Path, user: Option<(u32, u32)>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// A number of the user that packages make for the server.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().expect("id runs");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().expect("run it as a user who is not root, or have one called postgres")
}
