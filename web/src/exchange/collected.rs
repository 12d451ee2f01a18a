//! A request's body, collected once and kept.

use httpserver::Bytes;

use crate::{
    arguments::{Arguments, Pair, pairs_of},
    error::Result,
};

/// The body of a request from the moment it is there as a whole.
#[derive(Debug)]
pub(super) struct Collected {
    bytes: Bytes,
    /// Where the arguments stand, set by the first look-up.
    pairs: Option<Box<[Pair]>>,
}

impl Collected {
    pub(super) fn new(bytes: Bytes) -> Collected {
        Collected { bytes, pairs: None }
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The arguments of the body, which is a form.
    pub(super) fn arguments(&mut self) -> Result<Arguments<'_>> {
        let pairs = match self.pairs.take() {
            Some(pairs) => pairs,
            None => pairs_of(&self.bytes)?,
        };
        Ok(Arguments::from_pairs(&self.bytes, self.pairs.insert(pairs)))
    }
}
