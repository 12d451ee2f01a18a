//! The budgets, in one place: what is aimed at, and what the check enforces.

use super::subject::Subject;

/// What `httpserver` and `web` may cost at most; `None` where nothing is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// For `httpserver`.
    pub(super) http: Option<f64>,
    /// For `web`.
    pub(super) web: Option<f64>,
}

impl Limits {
    /// Of one of the servers.
    pub(super) fn of(self, subject: Subject) -> Option<f64> {
        match subject {
            Subject::Raw => None,
            Subject::Http => self.http,
            Subject::Web => self.web,
        }
    }
}

const fn limits(http: f64, web: f64) -> Limits {
    Limits { http: Some(http), web: Some(web) }
}

const fn only_http(http: f64) -> Limits {
    Limits { http: Some(http), web: None }
}

const fn only_web(web: f64) -> Limits {
    Limits { http: None, web: Some(web) }
}

/// Nothing is promised.
pub(super) const NONE: Limits = Limits { http: None, web: None };

/// Instructions per request, which do not depend on the machine's load.
pub(super) const INSTRUCTIONS: Limits = limits(2_500.0, 3_200.0);
pub(super) const INSTRUCTIONS_PIPELINED: Limits = limits(1_800.0, 2_500.0);
pub(super) const INSTRUCTIONS_JSON: Limits = limits(4_100.0, 4_700.0);
pub(super) const INSTRUCTIONS_WRAPPED: Limits = only_web(3_600.0);

/// What the check lets pass: what has been reached, and three in a hundred for another compiler's inlining.
pub(super) const GATE: Limits = limits(2_570.0, 3_280.0);
pub(super) const GATE_PIPELINED: Limits = limits(1_500.0, 2_185.0);
pub(super) const GATE_JSON: Limits = limits(3_220.0, 3_680.0);
pub(super) const GATE_WRAPPED: Limits = only_web(4_365.0);
pub(super) const GATE_ROUTE: Limits = only_web(3_890.0);

/// CPU time per request as a multiple of the yardstick's.
pub(super) const CPU_64: Limits = limits(1.10, 1.15);
pub(super) const CPU_PIPELINED: Limits = limits(1.28, 1.40);
pub(super) const CPU_1024: Limits = limits(1.15, 1.25);
pub(super) const CPU_ECHO: Limits = only_http(1.12);
pub(super) const CPU_RECONNECT: Limits = only_http(1.0);

/// System calls per request, all together.
pub(super) const SYSCALLS_1: Limits = limits(3.0, 3.0);
pub(super) const SYSCALLS_64: Limits = limits(2.1, 2.1);

/// Allocations per plaintext request.
pub(super) const ALLOCATIONS: Limits = limits(1.0, 3.0);

/// Bytes per connection at 10,000 of them.
pub(super) const IDLE: Limits = limits(600.0, 600.0);
pub(super) const PARKED: Limits = limits(1_000.0, 1_000.0);
pub(super) const KEPT: Limits = limits(150.0, 150.0);

/// CPU time per echo of a WebSocket message as a multiple of the yardstick's.
pub(super) const ECHO: Limits = only_web(1.10);

/// Bytes per client that waits at a hub, at 10,000 of them.
pub(super) const WEBSOCKET: Limits = only_web(900.0);
pub(super) const EVENT_STREAM: Limits = only_web(900.0);
pub(super) const POLL: Limits = only_web(1_000.0);
