//! Tornado's tokens, version 2: `2|01020304|0103010705070503090b090f0d0f0d0b|1300000000`.
//!
//! A mask in hexadecimal digits, the secret under that mask, and when it was made. The mask is another one in every page, so
//! that a page which is compressed with what an attacker puts into it does not give the secret away (BREACH).

use std::{fmt::Write, hint::black_box};

/// What the cookie and a form have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) secret: [u8; 16],
    /// In seconds since 1970. Nothing depends on it.
    pub(super) timestamp: u64,
}

impl Token {
    /// Reads the text of a token under any mask; `None` for any other text.
    #[inline]
    pub(super) fn parse(text: &str) -> Option<Token> {
        let (mask, rest) = text.strip_prefix("2|")?.split_once('|')?;
        let (masked, timestamp) = rest.split_once('|')?;
        if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let secret = under_mask(from_hex(masked)?, from_hex(mask)?);
        Some(Token { secret, timestamp: timestamp.parse().ok()? })
    }

    /// The text under a mask, which is best a random one.
    #[inline]
    pub(super) fn masked(&self, mask: [u8; 4]) -> String {
        let mut text = String::from("2|");
        push_hex(&mut text, &mask);
        text.push('|');
        push_hex(&mut text, &under_mask(self.secret, mask));
        // A String takes whatever is written to it.
        let _ = write!(text, "|{}", self.timestamp);
        text
    }

    /// Whether both have the same secret, in a time that does not depend on where they differ.
    #[inline]
    pub(super) fn is_same(&self, other: &Token) -> bool {
        let difference = self.secret.iter().zip(&other.secret).fold(0, |bits, (a, b)| black_box(bits | (a ^ b)));
        difference == 0
    }
}

#[inline]
fn under_mask(mut bytes: [u8; 16], mask: [u8; 4]) -> [u8; 16] {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    bytes
}

#[inline]
fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

#[inline]
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_TORNADO: &str = "2|01020304|0103010705070503090b090f0d0f0d0b|1300000000";

    #[test]
    fn tokens_are_those_of_tornado() {
        let secret = std::array::from_fn(|at| at as u8);
        let token = Token { secret, timestamp: 1_300_000_000 };
        assert_eq!(token.masked([1, 2, 3, 4]), OF_TORNADO);
        assert_eq!(Token::parse(OF_TORNADO), Some(token));
    }

    #[test]
    fn what_is_no_token_of_version_2_is_none() {
        for text in [
            "",
            "2",
            "2|||",
            "2|01020304|0103010705070503090b090f0d0f0d0b",
            "2|01020304|0103010705070503090b090f0d0f0d0b|",
            "2|01020304|0103010705070503090b090f0d0f0d0b|+1",
            "2|01020304|0103010705070503090b090f0d0f0d0b|1|1",
            "2|010203|0103010705070503090b090f0d0f0d0b|1",
            "2|0102030x|0103010705070503090b090f0d0f0d0b|1",
            "2|01020304|0103010705070503090b090f0d0f0d|1",
            "2|01020304|0103010705070503090b090f0d0f0d0é|1",
            "2|01020304||1",
            "3|01020304|0103010705070503090b090f0d0f0d0b|1",
            // Version 1.
            "000102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn under_any_mask_it_is_the_same_token(secret: [u8; 16], timestamp: u64, masks: [[u8; 4]; 2]) {
            let token = Token { secret, timestamp };
            let texts = masks.map(|mask| token.masked(mask));
            let read = texts.each_ref().map(|text| Token::parse(text).unwrap());
            prop_assert_eq!(read, [token; 2]);
            prop_assert!(read[0].is_same(&read[1]));
            prop_assert_eq!(texts[0] == texts[1], masks[0] == masks[1]);
        }

        #[test]
        fn tokens_that_differ_in_a_bit_are_not_the_same(secret: [u8; 16], bit in 0usize..128) {
            let token = Token { secret, timestamp: 0 };
            let mut other = token;
            other.secret[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!token.is_same(&other));
        }

        #[test]
        fn any_text_can_be_given(text: String) {
            prop_assert_eq!(Token::parse(&text), None);
        }
    }
}
