//! Layer: httpserver.
//!
//! A CONNECT proxy: clients reach the servers that it is told of through a tunnel, and no others. It says how much went
//! either way, and ends tunnels in which nothing moves.
//!
//! ```sh
//! cargo run --release --bin connect_proxy -- -- --idle 60 example.com:443 '*.example.org:443' 127.0.0.1:8000
//! curl --proxytunnel --proxy http://127.0.0.1:8888 https://example.com/
//! ```

use std::{env, error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, str::FromStr, time::Duration};

use httpserver::{
    HttpServer, IOLoop, IOStream, Method, Request, Response, Service, StatusCode,
    iostream::{TcpClient, copy_bidirectional},
};

/// How long tunnels may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

const ABOUT: &str =
    "Opens tunnels to the targets that are named behind a `--`, each as HOST:PORT. `*.example.com:443` is
every host below example.com. In front of them, `--idle SECONDS` sets how long nothing may move in a
tunnel [default: 300].";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let address = examples::cli::listen_address_from(options, ABOUT);
    examples::cli::exit_code(Proxy::from_arguments(arguments).and_then(|proxy| listen(address, proxy)))
}

fn listen(address: SocketAddr, proxy: Proxy) -> Result<(), Box<dyn Error>> {
    let server = HttpServer::new(proxy).listen(address)?;
    server.drain_on_signal(GRACE)?;
    println!("listening on {}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

struct Proxy {
    allowed: Vec<Target>,
    idle: Duration,
}

impl Proxy {
    fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Result<Proxy, Box<dyn Error>> {
        use lexopt::prelude::*;

        let mut proxy = Proxy { allowed: Vec::new(), idle: Duration::from_secs(300) };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("idle") => proxy.idle = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
                Value(target) => proxy.allowed.push(target.parse()?),
                argument => return Err(argument.unexpected().into()),
            }
        }
        if proxy.allowed.is_empty() { Err("no target is named; try --help".into()) } else { Ok(proxy) }
    }
}

impl Service for Proxy {
    async fn call(&self, request: Request) -> Response {
        if *request.method() != Method::CONNECT {
            return text(StatusCode::METHOD_NOT_ALLOWED, "This is a proxy for CONNECT.")
                .with_header("Allow", "CONNECT");
        }
        // The server has checked that it is HOST:PORT.
        let Ok(target) = request.target().parse::<Target>() else {
            return text(StatusCode::BAD_REQUEST, "The target is no HOST:PORT.");
        };
        if !self.allowed.iter().any(|allowed| allowed.covers(&target)) {
            return text(StatusCode::FORBIDDEN, "This target is not allowed.");
        }
        let server = match TcpClient::new().connect(&target.host, target.port).await {
            Ok(server) => server,
            // The reason is for the log: it may tell more about the network than a client should know.
            Err(error) => {
                log::warn!("{}: {error}", request.target());
                return match error.is_timed_out() {
                    true => text(StatusCode::GATEWAY_TIMEOUT, "The target does not answer."),
                    false => text(StatusCode::BAD_GATEWAY, "The target cannot be reached."),
                };
            }
        };
        let (name, idle) = (request.target().to_owned(), self.idle);
        let tunnel = async move |client: IOStream| pass_on(&client, &server, &name, idle).await;
        match request.upgrade(Response::new(StatusCode::OK), tunnel) {
            Ok(response) => response,
            Err(error) => httpserver::IntoResponse::into_response(error),
        }
    }
}

/// The tunnel. It ends when both sides have, when one breaks, and when nothing moves.
async fn pass_on(client: &IOStream, server: &IOStream, name: &str, idle: Duration) {
    for stream in [client, server] {
        // Only a stream that is closed fails here, and the copy will say so.
        let _ = stream.set_nodelay(true);
    }
    let copied = copy_bidirectional(client, server).idle_timeout(idle).await;
    let end = match copied.result {
        Ok(()) => "ended".to_owned(),
        Err(error) if error.is_timed_out() => "idle".to_owned(),
        Err(error) => error.to_string(),
    };
    println!("{name}: {} bytes there, {} bytes back, {end}", copied.a_to_b, copied.b_to_a);
}

fn text(status: StatusCode, text: &str) -> Response {
    Response::text(format!("{text}\n")).with_status(status)
}

/// A host and a port; the host in lower case and without the brackets of an IPv6 address.
struct Target {
    host: String,
    port: u16,
}

impl Target {
    /// Whether `other` is this, or below it where this begins with `*.`.
    fn covers(&self, other: &Target) -> bool {
        let is_host = match self.host.strip_prefix('*') {
            Some(domain) => other.host.len() > domain.len() && other.host.ends_with(domain),
            None => self.host == other.host,
        };
        is_host && self.port == other.port
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let invalid = || format!("{text:?} is no HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        // A star stands for whole labels.
        if host.is_empty() || host.rfind('*').is_some_and(|star| star > 0 || !host.starts_with("*.")) {
            return Err(invalid());
        }
        Ok(Target { host, port: port.parse().map_err(|_| invalid())? })
    }
}
