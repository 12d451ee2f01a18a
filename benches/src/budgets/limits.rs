//! The budgets, in one place. Which of them the check enforces is said at the rows.

/// What `httpserver` and `web` may cost at most; `None` where nothing is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// For `httpserver`.
    pub(super) http: Option<f64>,
    /// For `web`.
    pub(super) web: Option<f64>,
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

/// Instructions per plaintext request. The one budget that is enforced, because it does not depend on the machine's load.
pub(super) const INSTRUCTIONS: Limits = limits(3_500.0, 4_500.0);
pub(super) const INSTRUCTIONS_PIPELINED: Limits = limits(2_000.0, 2_600.0);
pub(super) const INSTRUCTIONS_JSON: Limits = limits(4_100.0, 4_700.0);

/// CPU time per request as a multiple of the yardstick's.
pub(super) const CPU_64: Limits = limits(1.10, 1.15);
pub(super) const CPU_PIPELINED: Limits = limits(1.5, 2.0);
pub(super) const CPU_1024: Limits = limits(1.15, 1.25);
pub(super) const CPU_ECHO: Limits = only_http(1.12);
pub(super) const CPU_RECONNECT: Limits = only_http(1.0);

/// System calls per request, all together.
pub(super) const SYSCALLS_1: Limits = limits(3.0, 3.0);
pub(super) const SYSCALLS_64: Limits = limits(2.1, 2.1);

/// Allocations per plaintext request.
pub(super) const ALLOCATIONS: Limits = limits(1.0, 3.0);

/// Bytes per connection at 10,000 of them.
pub(super) const IDLE: Limits = limits(800.0, 800.0);
pub(super) const PARKED: Limits = only_web(1_500.0);
pub(super) const KEPT: Limits = limits(150.0, 150.0);
