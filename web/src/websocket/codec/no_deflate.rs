//! What stands for compression in a build without it: types of which there are no values, so that nothing is left of the
//! code that uses them.

use super::{ProtocolError, content::Content, encoder::FrameKind};

#[derive(Debug)]
pub(super) enum Receiver {}

#[derive(Debug, Default)]
pub(super) struct Inflating;

impl Receiver {
    #[inline]
    pub(super) fn push(&mut self, _: &mut Inflating, _: &[u8], _: &mut Content, _: usize) -> Result<(), ProtocolError> {
        match *self {}
    }

    #[inline]
    pub(super) fn finish(&mut self, _: &mut Inflating, _: &mut Content, _: usize) -> Result<(), ProtocolError> {
        match *self {}
    }
}

#[derive(Debug)]
pub(super) enum Sender {}

impl Sender {
    #[inline]
    pub(super) fn frame_kind(&self) -> FrameKind {
        match *self {}
    }

    #[inline]
    pub(super) fn wants(&self, _: &[u8]) -> bool {
        match *self {}
    }

    #[inline]
    pub(super) fn compress(&mut self, _: &[u8], _: &mut Vec<u8>) -> bool {
        match *self {}
    }
}
