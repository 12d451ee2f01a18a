//! `GET /plaintext` over TLS on httpserver. Over plain TCP it is `bench-http` that is measured.

use httpserver::{
    HttpServer, IOLoop, Method, Reply, Request, Response, ServerOptions, Service, StatusCode,
    iostream::tls::TlsAcceptor,
};
use peers_http::{HELLO, Options, announce};

fn main() {
    let options = Options::from_arguments();
    let mut settings = ServerOptions::new();
    if let Some([chain, key]) = &options.tls {
        let tls = TlsAcceptor::ring().certificate(chain, key).and_then(|tls| tls.build());
        settings = settings.tls(tls.expect("a certificate and its key"));
    }
    let server = HttpServer::with_options(Plaintext, settings);
    let server = server.listen(options.address()).expect("a free port");
    announce(server.local_addr());
    IOLoop::current().start();
}

struct Plaintext;

impl Service for Plaintext {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        Reply::now(match (request.method(), request.path_bytes()) {
            (&Method::GET, b"/plaintext") => Response::text(HELLO),
            _ => Response::new(StatusCode::NOT_FOUND),
        })
    }
}
