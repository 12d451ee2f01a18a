//! Layer: httpserver.
//!
//! A reverse proxy: passes requests on to one server, and its answers back, both as they come. Written with delegates, which
//! are told of a request piece by piece.
//!
//! ```sh
//! cargo run --release --bin hello_service -- --port 9000
//! cargo run --release --bin reverse_proxy -- -- 127.0.0.1:9000
//! curl -N http://127.0.0.1:8888/count
//! ```
//!
//! Each request has a connection of its own to the server; a proxy for many of them would keep those.

use std::{env, error::Error, ffi::OsString, net::SocketAddr, pin::Pin, process::ExitCode, task, time::Duration};

use httpserver::{
    Body, BodyStream, BodyWriter, Bytes, Frame, HttpServer, IOLoop, IOStream, JoinHandle, Request, Response, Result,
    StatusCode,
    client::Connection,
    delegate::{DelegateService, HttpConnection, HttpMessageDelegate},
    spawn, timeout,
};

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long requests may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

const ABOUT: &str = "Passes requests on to the server whose address stands behind a `--`: 127.0.0.1:9000, say.";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let address = examples::cli::listen_address_from(options, ABOUT);
    examples::cli::exit_code(server_address(arguments).and_then(|server| listen(address, server)))
}

fn server_address(mut arguments: impl Iterator<Item = OsString>) -> Result<SocketAddr, Box<dyn Error>> {
    let server = arguments.next().ok_or("no server is named; try --help")?;
    Ok(server.to_string_lossy().parse()?)
}

fn listen(address: SocketAddr, server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let proxy = DelegateService::new(move |connection| Forward {
        server,
        client: Some(connection),
        upload: None,
        exchange: None,
    });
    let proxy = HttpServer::new(proxy).listen(address)?;
    proxy.drain_on_signal(GRACE)?;
    println!("listening on {}", proxy.local_addr());
    IOLoop::current().start();
    Ok(())
}

/// One request on its way.
struct Forward {
    server: SocketAddr,
    /// Goes to the exchange, which answers.
    client: Option<HttpConnection>,
    /// What the client goes on sending.
    upload: Option<BodyWriter>,
    exchange: Option<JoinHandle<()>>,
}

impl HttpMessageDelegate for Forward {
    async fn headers_received(&mut self, request: Request, body: &mut Body) -> Result<()> {
        let (upload, passed_on) = pass_on(body);
        self.upload = upload;
        let question = question(&request, passed_on)?;
        let Some(client) = self.client.take() else { return Ok(()) };
        // Of its own, because a server may answer before it has heard everything.
        self.exchange = Some(spawn(exchange(self.server, question, client)));
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<()> {
        if let Some(upload) = &mut self.upload {
            // Waits while the server is behind, and the client waits with it. A server that takes no more has answered.
            let _ = upload.write_bytes(chunk).await;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        if let Some(upload) = self.upload.take() {
            upload.finish();
        }
        Ok(())
    }

    /// The server is not to take the part of a body for the whole.
    fn on_connection_close(&mut self) {
        self.upload = None;
        if let Some(exchange) = self.exchange.take() {
            exchange.abort();
        }
    }
}

/// A body that is written as `body` comes, and as long as that. None to write, if there is none.
fn pass_on(body: &Body) -> (Option<BodyWriter>, Body) {
    if body.is_end() {
        return (None, Body::empty());
    }
    let (upload, passed_on) = Body::channel();
    (Some(upload), Body::stream(PassedOn { body: passed_on, length: body.content_length() }))
}

struct PassedOn {
    body: Body,
    length: Option<u64>,
}

impl BodyStream for PassedOn {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Option<Result<Frame>>> {
        self.body.poll_frame(cx)
    }

    fn exact_size(&self) -> Option<u64> {
        self.length
    }
}

/// What the server is asked. The client engine leaves out what belongs to the connection it came by.
fn question(request: &Request, body: Body) -> Result<Request> {
    let mut question = Request::builder().method(request.method().clone()).target(request.target());
    for (name, value) in request.headers().iter().filter(|(name, _)| !is_of_the_hop(request, name)) {
        question = question.header(name, value);
    }
    if let Some(peer) = request.peer_addr() {
        question = question.header("X-Forwarded-For", peer.ip().to_string());
    }
    question.header("Via", "1.1 reverse_proxy").body(body).build()
}

/// Fields that are between two neighbours (RFC 9110 7.6.1), and those that the body brings along.
fn is_of_the_hop(request: &Request, name: &str) -> bool {
    let of_the_hop = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    of_the_hop.iter().any(is)
        || ["content-length", "expect"].iter().any(is)
        || request.headers().has_token("connection", name)
}

/// Asks the server, and answers the client with what it says.
async fn exchange(server: SocketAddr, question: Request, mut client: HttpConnection) {
    let what = format!("{} {}", question.method(), question.target());
    let passed_back = match ask(server, question).await {
        Ok(answer) => pass_back(answer, &mut client).await,
        Err(error) => {
            log::warn!("{what}: {error}");
            client.write_headers(
                Response::text("the server behind this one does not answer\n").with_status(StatusCode::BAD_GATEWAY),
            )
        }
    };
    if let Err(error) = passed_back {
        log::warn!("{what}: {error}");
    }
}

async fn ask(server: SocketAddr, question: Request) -> Result<Response, Box<dyn Error>> {
    let stream = timeout(CONNECT_TIMEOUT, IOStream::connect(server)).await??;
    stream.set_nodelay(true)?;
    Ok(Connection::new(stream).send(question).await?.into_response()?)
}

/// Writes the body behind the head, piece by piece. A head with its body would be the whole answer, and the client's request
/// would not be read on: a server may have begun to answer before it has heard everything.
async fn pass_back(mut answer: Response, client: &mut HttpConnection) -> Result<()> {
    let mut body = answer.take_body();
    client.write_headers(answer)?;
    while let Some(chunk) = body.chunk().await? {
        client.write_bytes(chunk).await?;
    }
    if let Some(trailers) = body.take_trailers() {
        client.set_trailers(trailers)?;
    }
    client.finish()
}
