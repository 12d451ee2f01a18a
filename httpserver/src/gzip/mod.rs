//! Requests whose bodies are compressed with gzip. Feature `gzip`.
//!
//! [`DecompressRequests`] goes around a service, which then sees such bodies as they were before. It is Tornado's
//! `decompress_request`. [`Request::decompress`](crate::Request::decompress) does the same for one request.
//!
//! Nothing is decompressed ahead of its reader, and the limit counts what comes out: 10 KiB can become 10 MiB.

mod gunzip;
mod requests;

pub use requests::DecompressRequests;
