//! The framework's rows that nginx has an answer to: plaintext, JSON, files and gzip. Becomes the `nginx` of the system, which
//! has to be installed.

use std::{
    env, fs, io,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread::sleep,
    time::Duration,
};

use peers_framework::{directory, page};
use peers_http::{HELLO, IDLE_TIMEOUT, Options, announce};

/// The argument of the second process, before the address.
const WATCH: &str = "--announce-when-it-listens";

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    if let (Some(WATCH), Some(address)) = (arguments.next().as_deref(), arguments.next()) {
        return watch(address.parse().map_err(io::Error::other)?);
    }
    Command::new("nginx").arg("-v").output()?;
    let address = Options::from_arguments().free_address();
    let home = env::temp_dir().join(format!("peers-nginx-{}", address.port()));
    fs::create_dir_all(&home)?;
    fs::write(home.join("page.html"), page())?;
    let configuration = home.join("nginx.conf");
    fs::write(&configuration, text(&home, &directory()?, address.port()))?;
    // This process is nginx's in a moment, so another one has to say when it listens.
    Command::new(env::current_exe()?).args([WATCH, &address.to_string()]).spawn()?;
    Err(Command::new("nginx").arg("-c").arg(&configuration).arg("-p").arg(&home).exec())
}

fn watch(address: SocketAddr) -> io::Result<()> {
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            announce(address);
            return Ok(());
        }
        sleep(Duration::from_millis(10));
    }
    Err(io::Error::other("nginx does not listen"))
}

/// One process, so that its processor time is all there is.
fn text(home: &Path, files: &Path, port: u16) -> String {
    let (home, files, idle) = (home.display(), files.display(), IDLE_TIMEOUT.as_secs());
    format!(
        r#"
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout {idle}s;
    keepalive_requests 1000000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    types {{ text/html html; }}
    server {{
        listen 127.0.0.1:{port};
        location = /plaintext {{ default_type text/plain; return 200 "{HELLO}"; }}
        location = /json {{ default_type application/json; return 200 '{{"message":"{HELLO}"}}'; }}
        location /static/ {{ alias {files}/; }}
        location = /page {{ default_type text/html; alias {home}/page.html; gzip on; gzip_comp_level 1; }}
        location = /page6 {{ default_type text/html; alias {home}/page.html; gzip on; gzip_comp_level 6; }}
    }}
}}
"#
    )
}
