//! What the compiler says to the mistakes that beginners make. The other one of the usual five, state that is not registered,
//! shows when the server starts: see `state_refusals.rs`.
//!
//! The texts are the compiler's as well as ours, so they are compared only with those of the Rust that they were recorded
//! with. Record them anew with `TRYBUILD=overwrite`.

use std::{env, process::Command};

/// The version that the files in `compile_errors` come from.
const RECORDED: &str = "rustc 1.95.";

#[test]
fn the_compiler_names_the_mistake() {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().expect("a compiler");
    if !version.stdout.starts_with(RECORDED.as_bytes()) {
        println!("recorded with another version than {}", String::from_utf8_lossy(&version.stdout));
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
