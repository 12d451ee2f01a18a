//! A storm of signals while bytes pass. Alone in its process, because signals are the process's.

mod common;

use std::{
    fs::{self, File},
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use common::{pair, pattern, run};
use nix::{
    sys::pthread::{pthread_kill, pthread_self},
    sys::signal::Signal,
};

#[test]
fn system_calls_that_a_signal_interrupts_are_made_again() {
    const ROUND: usize = 500_000;
    // Its handler has `SA_RESTART`, to which epoll_wait(2) pays no heed (signal(7)).
    let handled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGUSR1 as i32, Arc::clone(&handled)).unwrap();
    let (target, over, signals) = (pthread_self(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let storm = thread::spawn({
        let (over, signals) = (Arc::clone(&over), Arc::clone(&signals));
        move || {
            while !over.load(Ordering::Relaxed) {
                pthread_kill(target, Signal::SIGUSR1).unwrap();
                signals.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
        }
    });

    let (stream, peer) = pair();
    let echo = thread::spawn(move || io::copy(&mut &peer, &mut &peer).unwrap());
    let sent = pattern(ROUND);
    let path = std::env::temp_dir().join(format!("interrupted-{}", std::process::id()));
    fs::write(&path, &sent).unwrap();
    let file = Rc::new(File::open(&path).unwrap());
    fs::remove_file(path).unwrap();
    run(async {
        while signals.load(Ordering::Relaxed) < 300 {
            let (write, send) = (stream.write(&sent), stream.send_file(Rc::clone(&file), 0..ROUND as u64));
            for _ in 0..2 {
                assert!(stream.read_bytes(ROUND).await.unwrap() == sent);
            }
            write.await.unwrap();
            send.await.unwrap();
        }
    });
    over.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    assert!(handled.load(Ordering::Relaxed));
    drop(stream);
    echo.join().unwrap();
}
