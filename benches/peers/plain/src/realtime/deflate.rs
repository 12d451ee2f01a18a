use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Bare calls of zlib-rs, one compressor and one decompressor for all connections.
pub(crate) struct Deflate {
    compress: Compress,
    decompress: Decompress,
    message: Vec<u8>,
    /// A frame: four bytes for its header, then the compressed message.
    frame: Vec<u8>,
}

impl Deflate {
    pub(crate) fn new() -> Deflate {
        Deflate {
            compress: Compress::new(Compression::new(LEVEL), false),
            decompress: Decompress::new(false),
            message: Vec::with_capacity(ROOM),
            frame: Vec::with_capacity(ROOM),
        }
    }

    /// The frame that answers a compressed text message with the same text, compressed again.
    pub(crate) fn reply(&mut self, payload: &[u8]) -> io::Result<&[u8]> {
        self.message.clear();
        self.decompress.reset(false);
        for part in [payload, &TAIL] {
            self.decompress.decompress_vec(part, &mut self.message, FlushDecompress::Sync)?;
        }
        self.frame.clear();
        self.frame.extend_from_slice(&[0xc1, 126, 0, 0]);
        self.compress.reset();
        self.compress.compress_vec(&self.message, &mut self.frame, FlushCompress::Sync)?;
        self.frame.truncate(self.frame.len() - TAIL.len());
        let length = (self.frame.len() - 4) as u16;
        self.frame[2..4].copy_from_slice(&length.to_be_bytes());
        Ok(&self.frame)
    }
}

/// What ends a flushed block and is left out of a message: RFC 7692, 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// zlib's own default, which the peers use as well.
const LEVEL: u32 = 6;

/// More than any message of the rows.
const ROOM: usize = 64 * 1024;
