//! Layer: iostream.
//!
//! A terminal for servers that speak in lines, such as `line_server`: what is typed goes there, what comes is shown.
//!
//! ```sh
//! cargo run --release --bin line_client -- localhost 8888
//! ```

use std::{env, error::Error, process::ExitCode};

use iostream::{IOLoop, IOStream, TcpClient, spawn};

/// The longest line that is taken from either side.
const LONGEST_LINE: usize = 64 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port] = &arguments[..] else {
        eprintln!("usage: line_client HOST PORT");
        return ExitCode::from(2);
    };
    examples::cli::exit_code(IOLoop::current().run_sync(talk(host, port)))
}

async fn talk(host: &str, port: &str) -> Result<(), Box<dyn Error>> {
    let server = TcpClient::new().connect(host, port.parse()?).await?;
    // The server may have something to say when all has been typed.
    server.set_half_open(true);
    let typing = spawn({
        let server = server.clone();
        async move {
            pass_on(&IOStream::stdin()?, &server).await?;
            server.shutdown_write().await
        }
    });
    let shown = pass_on(&server, &IOStream::stdout()?).await;
    // Nobody reads any more what is still typed.
    typing.abort();
    Ok(shown?)
}

/// Passes on line by line until the input ends; its last line may have no end.
async fn pass_on(from: &IOStream, to: &IOStream) -> iostream::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b"\n").max_bytes(LONGEST_LINE).append_to(&mut line).await {
            Ok(_) => to.write(&line).await?,
            Err(iostream::Error::Closed { cause: None }) => return to.write(from.read_until_close().await?).await,
            Err(error) => return Err(error),
        }
    }
}
