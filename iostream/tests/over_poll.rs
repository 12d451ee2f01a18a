//! The other files' tests once more, over poll(2) instead of epoll(7): `common` looks where it is compiled.
#![allow(clippy::duplicate_mod, reason = "each file brings its own `mod common`")]

#[path = "closing.rs"]
mod closing;
mod common;
#[path = "every_kind/main.rs"]
mod every_kind;
#[path = "faults.rs"]
mod faults;
#[path = "finish.rs"]
mod finish;
#[path = "flush.rs"]
mod flush;
#[path = "limits.rs"]
mod limits;
#[path = "memory.rs"]
mod memory;
#[path = "model.rs"]
mod model;
#[path = "netutil.rs"]
mod netutil;
#[path = "not_a_stream.rs"]
mod not_a_stream;
#[path = "parser_panics.rs"]
mod parser_panics;
#[path = "pipe.rs"]
mod pipe;
#[path = "polling.rs"]
mod polling;
#[path = "proxy_protocol.rs"]
mod proxy_protocol;
#[path = "reads.rs"]
mod reads;
#[path = "regex.rs"]
mod regex;
#[path = "resolver.rs"]
mod resolver;
#[path = "send_file.rs"]
mod send_file;
#[path = "short_read_rule.rs"]
mod short_read_rule;
#[path = "tcp_client.rs"]
mod tcp_client;
#[path = "tcp_server.rs"]
mod tcp_server;
#[path = "tls.rs"]
mod tls;
#[path = "tls_failures.rs"]
mod tls_failures;
#[path = "unix.rs"]
mod unix;
#[path = "writes.rs"]
mod writes;

#[test]
fn loops_of_these_tests_wait_with_poll() {
    common::run(async {
        assert!(iostream::IOLoop::current().as_fd().is_err(), "only epoll has a descriptor");
    });
}
