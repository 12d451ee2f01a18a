//! TLS with the cryptography of AWS-LC, which takes long to build: only with the feature `tls-aws-lc`.

mod common;

use common::{certs::Authority, pattern, run, streams};
use iostream::{
    spawn,
    tls::{TlsAcceptor, TlsConnector, TlsInfo},
};

/// What a server and a client, each with one of the two cryptographies, know of each other after some data.
async fn talk(acceptor: &TlsAcceptor, connector: &TlsConnector) -> [TlsInfo; 2] {
    let (server, client) = streams();
    let accepted = spawn(server.start_tls_server(acceptor));
    client.start_tls_client(connector, "localhost").await.unwrap();
    accepted.await.unwrap().unwrap();
    let sent = pattern(100_000);
    drop(client.write(&sent));
    assert!(server.read_bytes(sent.len()).await.unwrap() == sent);
    // The client's tickets come before this.
    server.write("done").await.unwrap();
    assert_eq!(client.read_bytes(4).await.unwrap(), "done");
    let infos = [&server, &client].map(|stream| stream.tls_info().unwrap());
    client.close();
    assert_eq!(server.read_until_close().await.unwrap(), "");
    infos
}

#[test]
fn it_talks_to_itself_and_to_the_other_one_and_resumes() {
    let authority = Authority::new();
    let identity = authority.sign(&["localhost"]);
    let acceptor = TlsAcceptor::aws_lc().certificate(identity.certificate, identity.key).unwrap();
    let connector = TlsConnector::aws_lc().roots(authority.root()).unwrap();
    let ours = (acceptor.build().unwrap(), connector.build().unwrap());
    let other = authority.both();
    for (acceptor, connector) in [(&ours.0, &ours.1), (&ours.0, &other.1), (&other.0, &ours.1)] {
        run(async {
            for resumed in [false, true] {
                let [of_server, of_client] = talk(acceptor, connector).await;
                assert_eq!((of_server.resumed, of_client.resumed), (resumed, resumed));
                assert_eq!(of_server.server_name.as_deref(), Some("localhost"));
            }
        });
    }
}
