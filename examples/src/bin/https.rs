//! Layer: web.
//!
//! HTTPS. `kill -HUP` makes it read the certificate anew; connections go on meanwhile. With a third file, clients that show
//! a certificate signed by one of those in it are let in at `/members`.
//!
//! ```sh
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE \
//!     -keyout key.pem -out cert.pem
//! cargo run --release --bin https -- -- cert.pem key.pem
//! curl --cacert cert.pem https://localhost:8888/
//! openssl s_client -connect 127.0.0.1:8888 -servername localhost -CAfile cert.pem
//! ```

use std::{env, error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

use web::{Application, Exchange, IOLoop, ServerOptions, StatusCode, httpserver::iostream::tls::TlsAcceptor, signal};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let about = "HTTPS. Behind a `--`: the files of a certificate, its key and, optionally, clients' roots.";
    let address = examples::cli::listen_address_from(options, about);
    let files: Vec<OsString> = arguments.collect();
    examples::cli::exit_code(serve(address, &files))
}

fn serve(address: SocketAddr, files: &[OsString]) -> Result<(), Box<dyn Error>> {
    let tls = acceptor(files)?;
    let certificates = tls.certificates().ok_or("made by the builder")?.clone();
    signal::add_signal_handler(signal::SIGHUP, move || match certificates.reload() {
        Ok(()) => println!("the certificate has been read anew"),
        Err(error) => eprintln!("keeping the certificate there is: {error}"),
    })?;

    let server = Application::new()
        .get("/", index)
        .get("/members", members)
        .server_options(ServerOptions::new().tls(tls))
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    println!("listening on https://{}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

fn acceptor(files: &[OsString]) -> Result<TlsAcceptor, Box<dyn Error>> {
    let (certificate, key, roots) = match files {
        [certificate, key] => (certificate, key, None),
        [certificate, key, roots] => (certificate, key, Some(roots)),
        _ => return Err("name a certificate and its key behind a `--`".into()),
    };
    let mut tls = TlsAcceptor::ring().certificate(certificate, key)?;
    if let Some(roots) = roots {
        tls = tls.request_client_certificates(roots)?;
    }
    Ok(tls.build()?)
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    // None only if the client has left.
    let version = exchange.request().tls_info().map(|info| format!("{:?}", info.version)).unwrap_or_default();
    exchange.write_text(format!("Hello by {} and {version}\n", exchange.protocol()));
    Ok(())
}

async fn members(exchange: &mut Exchange) -> web::Result<()> {
    let certificates = exchange.request().tls_info().map(|info| info.peer_certificates).unwrap_or_default();
    let Some(certificate) = certificates.first() else {
        return Err(web::Error::http(StatusCode::FORBIDDEN, "Members show a certificate"));
    };
    exchange.write_text(format!("Welcome, holder of {} bytes\n", certificate.len()));
    Ok(())
}
