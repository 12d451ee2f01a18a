//! Layer: iostream.
//!
//! A TCP proxy: each connection is passed on to a server, both ways, as fast as the slower side reads. It holds 64 KiB
//! at most of each direction, and nothing while nothing is said.
//!
//! ```sh
//! cargo run --release --bin tcp_proxy -- -- example.com:80
//! curl -H 'Host: example.com' http://127.0.0.1:8888/
//! ```

use std::{env, error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

use iostream::{IOLoop, IOStream, TcpClient, TcpServer, copy_bidirectional, signal};

/// How long connections may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let about = "Passes connections on to the server that is named behind a `--`, as HOST:PORT.";
    let address = examples::cli::listen_address_from(options, about);
    let target = arguments.next().and_then(|target| target.into_string().ok()).unwrap_or_default();
    examples::cli::exit_code(serve(address, &target))
}

fn serve(address: SocketAddr, target: &str) -> Result<(), Box<dyn Error>> {
    let (host, port) = target.rsplit_once(':').ok_or("no server is named; try --help")?;
    let (host, port): (String, u16) = (host.trim_matches(['[', ']']).to_owned(), port.parse()?);
    let server = TcpServer::new(async move |client: IOStream, _peer| pass_on(client, &host, port).await);
    let server = server.listen(address)?;
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

/// Connects a client with the server until both have said everything, or one of them is gone.
async fn pass_on(client: IOStream, host: &str, port: u16) -> iostream::Result<()> {
    let server = TcpClient::new().connect(host, port).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    // A connection that breaks is an everyday event here, and the copy has told the other side.
    let _ = copy_bidirectional(&client, &server).await;
    Ok(())
}
