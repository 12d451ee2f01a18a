//! An application over TLS.

mod util;

use std::{env, fs, process};

use httpserver::iostream::{
    IOStream,
    tls::{TlsAcceptor, TlsConnector},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use util::sockets::serve;
use web::{Application, Exchange, IOLoop, ServerOptions};

async fn protocol(exchange: &mut Exchange) -> web::Result<()> {
    assert!(exchange.request().tls_info().is_some());
    exchange.write_text(format!("{}", exchange.protocol()));
    Ok(())
}

#[test]
fn an_application_is_served_over_tls() {
    let folder = env::temp_dir().join(format!("web-tls-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let tls = TlsAcceptor::ring().certificate(&certificate, &key).unwrap().build().unwrap();
    let connector = TlsConnector::ring().roots(&certificate).unwrap().build().unwrap();
    fs::remove_dir_all(folder).unwrap();

    let server = serve(|| Application::new().get("/", protocol).server_options(ServerOptions::new().tls(tls)));
    let answer = IOLoop::current().run_sync(async {
        let stream = IOStream::connect(server.addr()).await?;
        stream.start_tls_client(&connector, "localhost").await?;
        stream.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        stream.read_until_close().await
    });
    assert!(answer.unwrap().ends_with(b"\r\n\r\nhttps"));
}
