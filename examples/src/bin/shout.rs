//! Layer: iostream.
//!
//! A filter: standard input in capitals on standard output, line by line, whatever the two are: pipes, files, a terminal.
//!
//! ```sh
//! cargo run --release --bin shout
//! echo hello | cargo run --release --bin shout > capitals.txt
//! ```

use std::{error::Error, process::ExitCode};

use iostream::{IOLoop, IOStream};

/// A longer line is an error, not a full memory.
const LONGEST_LINE: usize = 64 * 1024;

fn main() -> ExitCode {
    examples::cli::exit_code(IOLoop::current().run_sync(shout()))
}

async fn shout() -> Result<(), Box<dyn Error>> {
    let (stdin, stdout) = (IOStream::stdin()?, IOStream::stdout()?);
    loop {
        match stdin.read_until(b"\n").max_bytes(LONGEST_LINE).await {
            Ok(line) => stdout.write(line.to_ascii_uppercase()).await?,
            Err(error) if error.is_closed() => break,
            Err(error) => return Err(error.into()),
        }
    }
    // The last line may have no end.
    let rest = stdin.read_until_close().await.unwrap_or_default();
    Ok(stdout.write(rest.to_ascii_uppercase()).await?)
}
