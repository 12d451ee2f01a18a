//! An application over TLS.

mod util;

use std::{env, fs, process};

use httpserver::iostream::{
    IOStream,
    tls::{TlsAcceptor, TlsConnector},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use util::sockets::serve;
use web::{
    Application, Exchange, IOLoop, ServerOptions,
    websocket::{self, Message},
};

async fn protocol(exchange: &mut Exchange) -> web::Result<()> {
    assert!(exchange.request().tls_info().is_some());
    exchange.write_text(format!("{}", exchange.protocol()));
    Ok(())
}

/// A server's side and a client's that trusts it, for the name `localhost`.
fn acceptor_and_connector(name: &str) -> (TlsAcceptor, TlsConnector) {
    let folder = env::temp_dir().join(format!("web-tls-{}-{name}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let tls = TlsAcceptor::ring().certificate(&certificate, &key).unwrap().build().unwrap();
    let connector = TlsConnector::ring().roots(&certificate).unwrap().build().unwrap();
    fs::remove_dir_all(folder).unwrap();
    (tls, connector)
}

#[test]
fn an_application_is_served_over_tls() {
    let (tls, connector) = acceptor_and_connector("application");
    let server = serve(|| Application::new().get("/", protocol).server_options(ServerOptions::new().tls(tls)));
    let answer = IOLoop::current().run_sync(async {
        let stream = IOStream::connect(server.addr()).await?;
        stream.start_tls_client(&connector, "localhost").await?;
        stream.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        stream.read_until_close().await
    });
    assert!(answer.unwrap().ends_with(b"\r\n\r\nhttps"));
}

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let mut socket = exchange.websocket().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn a_websocket_goes_over_tls() {
    let (tls, connector) = acceptor_and_connector("websocket");
    let server = serve(|| Application::new().get("/echo", echo).server_options(ServerOptions::new().tls(tls)));
    IOLoop::current().run_sync(async {
        let url = format!("wss://localhost:{}/echo", server.addr().port());
        let mut socket = websocket::connect(&*url).tls(connector).await.expect("it is opened");
        // The second takes several records of TLS.
        for text in ["first".to_owned(), "x".repeat(100_000)] {
            socket.send(text.clone()).await.expect("it is sent");
            let message = socket.receive().await.expect("it comes back").expect("the socket is open");
            assert_eq!(message, Message::Text(text));
        }
        // A certificate that nobody vouches for is refused.
        let stranger = acceptor_and_connector("stranger").1;
        assert!(websocket::connect(url).tls(stranger).await.is_err());
    });
}
