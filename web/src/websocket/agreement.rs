use super::{
    codec::{Decoder, Encoder, Role},
    options::Settings,
};

/// What both sides have agreed on in the handshake.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    pub(super) subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<super::codec::Deflate>,
}

impl Agreement {
    /// A decoder of what the peer of `role` sends.
    #[inline]
    pub(super) fn decoder(&self, role: Role, settings: &Settings) -> Decoder {
        let decoder = Decoder::new(role).max_message_size(settings.max_message_size);
        #[cfg(feature = "deflate")]
        if let Some(agreed) = &self.deflate {
            return decoder.deflate(agreed);
        }
        decoder
    }

    /// An encoder of what `role` sends.
    #[inline]
    pub(super) fn encoder(&self, role: Role) -> Encoder {
        let encoder = Encoder::new(role);
        #[cfg(feature = "deflate")]
        if let Some(agreed) = &self.deflate {
            return encoder.deflate(agreed);
        }
        encoder
    }
}
