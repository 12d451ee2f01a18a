//! Sockets and addresses: binding listening sockets, taking over inherited ones, accepting from them, and what TCP is told
//! about peers that vanish.
//!
//! [`TcpServer::listen`](crate::TcpServer::listen) does all of this with the defaults. Use these functions for options, for
//! Unix sockets, and for servers that accept by themselves.

mod address;
mod bind;
mod inherited;
mod keep_alive;
mod listen_addrs;
mod network;
mod unix;

pub use self::{
    address::{Family, is_valid_ip},
    bind::{BindOptions, bind_sockets, set_nodelay_for_accepted},
    inherited::{InheritedSocket, Listener, inherited_sockets},
    keep_alive::KeepAlive,
    listen_addrs::ToListenAddrs,
    network::IpNetwork,
    unix::{UnixBindOptions, bind_unix_socket},
};
pub use crate::accept::{AcceptHandle, add_accept_handler, add_unix_accept_handler};
