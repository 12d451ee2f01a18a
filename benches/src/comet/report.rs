//! What a run came to, for people and for programs.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use super::{Kind, Tally};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// How the clients waited.
    pub kind: Kind,
    /// How many messages were published.
    pub messages: u64,
    /// Until all clients were there.
    pub connected: Duration,
    /// From the first message to the last.
    pub publishing: Duration,
    /// What became of the messages, over all clients.
    pub tally: Tally,
}

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

impl Report {
    /// The report as JSON, with times in microseconds.
    pub fn to_json(&self) -> Value {
        let Tally { clients, delivered, lost, doubled, late, reconnects, bytes, latency } = &self.tally;
        let [p50, p90, p99, p999] = PERCENTILES.map(|percent| latency.percentile(percent));
        json!({
            "kind": self.kind.name(),
            "clients": clients,
            "messages": self.messages,
            "connected_us": self.connected.as_micros() as u64,
            "publishing_us": self.publishing.as_micros() as u64,
            "delivered": delivered,
            "lost": lost,
            "doubled": doubled,
            "late": late,
            "reconnects": reconnects,
            "bytes": bytes,
            "latency_us": { "p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": latency.max() },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { clients, delivered, lost, doubled, late, reconnects, bytes, latency } = &self.tally;
        let (connected, publishing) = (self.connected.as_secs_f64(), self.publishing.as_secs_f64());
        writeln!(f, "{clients} {} clients, connected in {connected:.2} s, {reconnects} reconnects", self.kind.name())?;
        writeln!(f, "{} messages published in {publishing:.2} s", self.messages)?;
        writeln!(f, "{delivered} delivered, {lost} lost, {doubled} doubled, {late} late; {bytes} bytes received")?;
        write!(f, "latency in ms:")?;
        for percent in PERCENTILES {
            write!(f, " {percent} % {:.2},", latency.percentile(percent) as f64 / 1e3)?;
        }
        writeln!(f, " longest {:.2}", latency.max() as f64 / 1e3)
    }
}
