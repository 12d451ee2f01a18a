/// Masks bytes in place, or unmasks them, which is the same (RFC 6455 5.3).
///
/// `key` is that of the frame, and the first byte meets its first byte. For a piece that begins `n` bytes into the payload,
/// rotate it before: `key.rotate_left(n % 4)`.
///
/// Costs about as much as a copy of as many bytes.
///
/// # Examples
///
/// ```
/// let mut bytes = *b"Hello";
/// web::websocket::codec::unmask(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(bytes, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // RFC 6455 5.7
/// ```
#[inline]
pub fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let mut wide = [0; 32];
    wide.as_chunks_mut::<4>().0.fill(key);
    // Of all ways to write it, this one becomes the widest vectors and the fewest branches: 4 KiB in 1.5 times a copy of it,
    // where words of eight bytes take 5 times.
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
    for block in blocks {
        for (byte, key) in block.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    // Short messages are mostly rest.
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (words, rest) = rest.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}

/// Appends bytes, unmasked if there is a key. They pass through the cache once.
#[inline]
pub(super) fn append_unmasked(out: &mut Vec<u8>, bytes: &[u8], key: Option<[u8; 4]>) {
    let Some(key) = key else { return out.extend_from_slice(bytes) };
    out.reserve(bytes.len());
    // Pieces of a multiple of four meet the key at its first byte, and stay in the first cache between copy and mask.
    for piece in bytes.chunks(8 * 1024) {
        let start = out.len();
        out.extend_from_slice(piece);
        unmask(&mut out[start..], key);
    }
}

/// The key for what comes behind `count` bytes.
#[inline]
pub(super) fn rotated(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_masked_byte_by_byte() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7) as u8).collect();
        for length in (0..300).chain([8191, 8192, 8193, 16_384, 20_000]) {
            let expected: Vec<u8> = (0..length).map(|i| bytes[i] ^ key[i % 4]).collect();
            let mut masked = bytes[..length].to_vec();
            unmask(&mut masked, key);
            assert_eq!(masked, expected);
            let mut appended = b"in front".to_vec();
            append_unmasked(&mut appended, &bytes[..length], Some(key));
            assert_eq!(&appended[8..], expected);
        }
    }

    #[test]
    fn a_later_piece_meets_the_key_where_the_first_one_left_it() {
        let key = [1, 2, 3, 4];
        let (mut whole, mut pieces) = ([9; 100], [9; 100]);
        unmask(&mut whole, key);
        for split in 0..100 {
            pieces.fill(9);
            let (first, second) = pieces.split_at_mut(split);
            unmask(first, key);
            unmask(second, rotated(key, split));
            assert_eq!(pieces, whole);
        }
    }
}
