//! Layer: iostream.
//!
//! An echo over TLS. `kill -HUP` makes it read the certificate anew. With a third file, clients that show a certificate
//! signed by one of those in it are greeted by the protocol they agreed on.
//!
//! ```sh
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE \
//!     -keyout key.pem -out cert.pem
//! cargo run --release --bin tls_echo -- -- cert.pem key.pem
//! openssl s_client -connect 127.0.0.1:8888 -servername localhost -CAfile cert.pem -quiet
//! ```

use std::{env, error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

use iostream::{IOLoop, IOStream, ServerOptions, TcpServer, signal, tls::TlsAcceptor};

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// How long connections may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let about = "Echoes over TLS. Behind a `--`: the files of a certificate, its key and, optionally, clients' roots.";
    let address = examples::cli::listen_address_from(options, about);
    let files: Vec<OsString> = arguments.collect();
    examples::cli::exit_code(serve(address, &files))
}

fn serve(address: SocketAddr, files: &[OsString]) -> Result<(), Box<dyn Error>> {
    let (certificate, key, roots) = match files {
        [certificate, key] => (certificate, key, None),
        [certificate, key, roots] => (certificate, key, Some(roots)),
        _ => return Err("name a certificate and its key behind a `--`".into()),
    };
    let mut tls = TlsAcceptor::ring().certificate(certificate, key)?.alpn(["echo/1", "http/1.1"]);
    if let Some(roots) = roots {
        tls = tls.request_client_certificates(roots)?;
    }
    let tls = tls.build()?;
    let certificates = tls.certificates().ok_or("made by the builder")?.clone();
    signal::add_signal_handler(signal::SIGHUP, move || match certificates.reload() {
        Ok(()) => println!("the certificate has been read anew"),
        Err(error) => eprintln!("keeping the certificate there is: {error}"),
    })?;

    let server = TcpServer::with_options(echo, ServerOptions::new().tls(tls)).listen(address)?;
    let end = signal::shutdown();
    println!("listening on {}", server.local_addr());
    IOLoop::current().spawn_detached(async move {
        if let Err(error) = end.await {
            eprintln!("cannot watch signals: {error}");
        }
        server.drain(GRACE).await;
        IOLoop::current().stop();
    });
    IOLoop::current().start();
    Ok(())
}

async fn echo(stream: IOStream, _peer: SocketAddr) -> iostream::Result<()> {
    if let Some(info) = stream.tls_info()
        && !info.peer_certificates.is_empty()
    {
        let protocol = info.alpn_protocol.unwrap_or_default();
        stream.write(format!("welcome to {}\n", String::from_utf8_lossy(&protocol))).await?;
    }
    loop {
        let piece = stream.read_some(PIECE).await?;
        stream.write(piece).await?;
    }
}
