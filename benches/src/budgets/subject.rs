//! The programs that are measured.

/// One of the three servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The yardstick.
    Raw,
    /// `httpserver` and what is below.
    Http,
    /// `web`, all four layers.
    Web,
}

impl Subject {
    /// All subjects in the order of the columns.
    pub const ALL: [Subject; 3] = [Subject::Raw, Subject::Http, Subject::Web];

    /// The name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Subject::Raw => "raw",
            Subject::Http => "bench-http",
            Subject::Web => "bench-web",
        }
    }

    /// The head of the column.
    pub fn title(self) -> &'static str {
        match self {
            Subject::Raw => "raw",
            Subject::Http => "httpserver",
            Subject::Web => "web",
        }
    }
}
