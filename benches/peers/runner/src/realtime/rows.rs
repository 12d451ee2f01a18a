use super::{
    echo::Message,
    frame::Opcode,
    message::{binary, json},
    way::Way,
};

/// One row of the table of processor time.
pub(super) struct CpuRow {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) load: Load,
}

#[derive(Clone, Copy)]
pub(super) enum Load {
    /// So many messages in a round come back over 64 connections.
    Echo { message: fn() -> Message, messages: u64 },
    /// So many messages in a round, each to 10,000 clients.
    Broadcast { way: Way, messages: u64 },
}

impl Load {
    pub(super) fn way(self) -> Way {
        match self {
            Load::Echo { message, .. } => message().way(),
            Load::Broadcast { way, .. } => way,
        }
    }

    pub(super) fn messages(self) -> u64 {
        match self {
            Load::Echo { messages, .. } | Load::Broadcast { messages, .. } => messages,
        }
    }

    /// What a round's processor time is divided by.
    pub(super) fn operations(self) -> u64 {
        match self {
            Load::Echo { messages, .. } => messages,
            Load::Broadcast { messages, .. } => messages * MANY as u64,
        }
    }
}

/// Clients of a broadcast, and idle ones.
pub(super) const MANY: usize = 10_000;

pub(super) const ECHO_CONNECTIONS: usize = 64;

pub(super) const CPU_ROWS: [CpuRow; 7] = [
    CpuRow {
        name: "echo-32",
        title: "echo of 32 B, message",
        load: Load::Echo { message: || Message::plain(Opcode::Binary, binary(32)), messages: 20_000 },
    },
    CpuRow {
        name: "echo-4096",
        title: "echo of 4 KiB, message",
        load: Load::Echo { message: || Message::plain(Opcode::Binary, binary(4096)), messages: 20_000 },
    },
    CpuRow {
        name: "echo-text",
        title: "echo of 4 KiB of text, message",
        load: Load::Echo { message: || Message::plain(Opcode::Text, json()), messages: 20_000 },
    },
    CpuRow {
        name: "deflate",
        title: "deflate echo of 4 KiB of JSON, message",
        load: Load::Echo {
            message: || Message { opcode: Opcode::Text, payload: json(), deflate: true },
            messages: 5_000,
        },
    },
    CpuRow {
        name: "broadcast-websocket",
        title: "broadcast of 100 B to 10,000 WebSockets, receiver",
        load: Load::Broadcast { way: Way::WebSocket, messages: 5 },
    },
    CpuRow {
        name: "broadcast-events",
        title: "broadcast of 100 B to 10,000 event streams, receiver",
        load: Load::Broadcast { way: Way::Events, messages: 5 },
    },
    CpuRow {
        name: "broadcast-poll",
        title: "broadcast of 100 B to 10,000 long polls, receiver",
        load: Load::Broadcast { way: Way::Poll, messages: 3 },
    },
];

/// One row of the table of memory.
pub(super) struct MemoryRow {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) way: Way,
}

pub(super) const MEMORY_ROWS: [MemoryRow; 4] = [
    MemoryRow { name: "idle-websocket", title: "idle WebSocket", way: Way::Echo },
    MemoryRow { name: "idle-deflate", title: "idle WebSocket with permessage-deflate", way: Way::Deflate },
    MemoryRow { name: "idle-events", title: "idle event stream", way: Way::Events },
    MemoryRow { name: "idle-poll", title: "parked long poll", way: Way::Poll },
];
