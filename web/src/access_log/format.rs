//! The formats of the access log.

use crate::application::Application;

/// How the lines of the [access log](crate::Application::access_log) look; see
/// [`Application::access_log_format`](crate::Application::access_log_format).
///
/// Whatever a client sends, a line has no control characters in it, and its fields cannot be forged: quotes and backslashes
/// are escaped where they would end one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLogFormat {
    /// `200 GET /path (127.0.0.1) 2.55ms`, as Tornado has it. The default.
    #[default]
    Tornado,
    /// The combined format of Apache and nginx, which most programs that read logs understand:
    /// `127.0.0.1 - - [27/Nov/2026:01:37:08 +0000] "GET /path HTTP/1.1" 200 5 "https://example.org/" "curl/8.5.0"`.
    ///
    /// The time is that of the answer's end. The size is that of the body as far as it is known, and `-` for a stream.
    Combined,
    /// One JSON object, with these members, those in brackets where there is something to tell: `time` (RFC 3339), `status`,
    /// `method`, `target`, `version`, `duration_ms`, \[`remote_ip`\], \[`host`\], \[`route`\] (the pattern), \[`bytes`\],
    /// \[`referer`\], \[`user_agent`\], \[`request_id`\] (see
    /// [`RequestId`](crate::security::RequestId)), \[`trace_id`, `span_id`\] (see [`Exchange::trace`](crate::Exchange::trace)). All
    /// of it is ASCII.
    ///
    /// Have the logger print nothing but the message: `record.args()`.
    Json,
}

impl Application {
    /// Sets the format of the lines of the [access log](Application::access_log): Tornado's unless it is set. That of the
    /// outermost application counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{AccessLogFormat, Application};
    ///
    /// let application = Application::new().access_log_format(AccessLogFormat::Combined);
    /// ```
    #[inline]
    pub fn access_log_format(mut self, format: AccessLogFormat) -> Application {
        self.scope_mut().access_log_writer = Some(format.writer());
        self
    }
}
