/// Which side of a connection one is. Clients mask their frames, servers do not, and each refuses what the other may not
/// send (RFC 6455 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Accepts connections: receives masked frames and sends plain ones.
    Server,
    /// Opens connections: receives plain frames and sends masked ones.
    Client,
}
