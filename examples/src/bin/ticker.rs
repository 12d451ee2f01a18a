//! Layer: ioloop.
//!
//! An event loop alone: a periodic callback, a timer that is cancelled, a task, lines from standard
//! input, and Ctrl-C. Standard input has to be something epoll can watch: a terminal, a pipe or a
//! socket, but not a file.
//!
//! ```sh
//! cargo run --release --bin ticker
//! (echo one; sleep 2; echo two) | cargo run --release --bin ticker
//! ```

use std::{
    cell::Cell,
    error::Error,
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    rc::Rc,
    time::Duration,
};

use ioloop::{IOLoop, Interest, PeriodicCallback, signal, sleep};

fn main() {
    examples::cli::start_log();
    let ioloop = IOLoop::current();

    let ticks = Rc::new(Cell::new(0));
    let ticker = PeriodicCallback::new(Duration::from_secs(1), {
        let ticks = ticks.clone();
        move || {
            ticks.set(ticks.get() + 1);
            println!("tick {}", ticks.get());
        }
    });
    ticker.start();

    let never = ioloop.call_later(Duration::from_secs(3), || println!("never printed"));
    ioloop.call_later(Duration::from_millis(1500), {
        let ioloop = ioloop.clone();
        move || {
            ioloop.remove_timeout(never);
            println!("cancelled the timer of 3 s");
        }
    });

    ioloop.spawn_detached(async {
        for step in 1..=3 {
            sleep(Duration::from_millis(700)).await;
            println!("the task is at step {step} of 3");
        }
    });

    let end = signal::shutdown();
    ioloop.spawn_detached(async {
        let signal = end.await;
        // Stop first: printing panics once the output is closed.
        IOLoop::current().stop();
        match signal {
            Ok(_) => println!("signal: stopping"),
            Err(error) => eprintln!("cannot watch signals: {error}"),
        }
    });

    if let Err(error) = watch_standard_input(&ioloop) {
        println!("not watching standard input: {error}");
    }
    println!("ticking; type lines, end with Ctrl-C");
    ioloop.start();
    println!("stopped after {} ticks", ticks.get());
}

/// Prints what can be read; the handler removes itself at the end of the input.
fn watch_standard_input(ioloop: &IOLoop) -> Result<(), Box<dyn Error>> {
    // A descriptor of its own, read without the buffer of `io::stdin`: bytes in a buffer cause no event.
    let input = Rc::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    ioloop.add_handler(input.clone(), Interest::READABLE, move |event| {
        let mut buffer = [0; 4096];
        match (&*input).read(&mut buffer) {
            Ok(0) | Err(_) => {
                println!("end of input");
                IOLoop::current().remove_handler(event.token());
            }
            Ok(length) => println!("read {:?}", String::from_utf8_lossy(&buffer[..length])),
        }
    })?;
    Ok(())
}
