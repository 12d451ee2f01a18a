use super::{MAX_WINDOW_BITS, MIN_COMPRESSOR_BITS};

/// How messages are compressed, and what is agreed to.
///
/// # Memory
///
/// By default a connection holds nothing between messages. While it sends one, it uses a compressor of its thread; while
/// it receives one, a decompressor, from the moment when the message is whole or 4 KiB of it have come. A thread keeps a
/// few of each.
///
/// With [`context_takeover`](DeflateOptions::context_takeover) a connection keeps both for good.
///
/// # Examples
///
/// ```
/// use web::websocket::codec::DeflateOptions;
///
/// let options = DeflateOptions::new().level(1).threshold(256);
/// ```
#[derive(Debug, Clone)]
pub struct DeflateOptions {
    pub(super) level: u8,
    pub(super) threshold: u32,
    pub(super) context_takeover: bool,
    pub(super) max_window_bits: u8,
}

impl DeflateOptions {
    /// Level 6, a threshold of 128 bytes, no context takeover, windows of 32 KiB.
    #[inline]
    pub fn new() -> DeflateOptions {
        super::keep_until_ebb();
        DeflateOptions { level: 6, threshold: 128, context_takeover: false, max_window_bits: MAX_WINDOW_BITS }
    }

    /// How hard to compress, from 1 (fast) to 9 (small). The default is 6, as in Tornado.
    ///
    /// # Panics
    ///
    /// When it is not from 1 to 9.
    #[inline]
    #[track_caller]
    pub fn level(mut self, level: u8) -> DeflateOptions {
        assert!((1..=9).contains(&level), "the level of compression is from 1 to 9, not {level}");
        self.level = level;
        self
    }

    /// Messages of fewer bytes are sent as they are. The default is 128. Empty messages are never compressed.
    #[inline]
    pub fn threshold(mut self, bytes: usize) -> DeflateOptions {
        self.threshold = u32::try_from(bytes).unwrap_or(u32::MAX);
        self
    }

    /// Whether messages are compressed with what was in those before them, in both directions and if the peer agrees. Off
    /// by default.
    ///
    /// It makes small messages that resemble each other much smaller, and costs memory for as long as a connection lives:
    /// 420 KiB, of which the compressor has 370. With windows of 512 bytes it is 300 KiB. Messages can no longer be framed
    /// once for many receivers.
    #[inline]
    pub fn context_takeover(mut self, is_allowed: bool) -> DeflateOptions {
        self.context_takeover = is_allowed;
        self
    }

    /// The largest window, as a power of two: 9 (512 bytes) to 15 (32 KiB, the default). It bounds the windows in both
    /// directions; that of the peer's compressor as far as the peer lets itself be told.
    ///
    /// # Panics
    ///
    /// When it is not from 9 to 15. zlib cannot compress with 8.
    #[inline]
    #[track_caller]
    pub fn max_window_bits(mut self, bits: u8) -> DeflateOptions {
        let range = MIN_COMPRESSOR_BITS..=MAX_WINDOW_BITS;
        assert!(range.contains(&bits), "a window has from 9 to 15 bits, not {bits}");
        self.max_window_bits = bits;
        self
    }
}

impl Default for DeflateOptions {
    #[inline]
    fn default() -> DeflateOptions {
        DeflateOptions::new()
    }
}
