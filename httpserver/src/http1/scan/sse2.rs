//! Classes of the characters of a block, by the vector instructions that every x86-64 processor has.
//!
//! The crate `safe_arch` has an instruction as a safe function where the target has it for certain, so none of this is
//! unsafe. Comparisons are of signed bytes: to them those above 127 are the smallest.

use safe_arch::{
    add_i8_m128i, bitand_m128i, bitor_m128i, cmp_eq_mask_i8_m128i, cmp_gt_mask_i8_m128i, load_unaligned_m128i, m128i,
    move_mask_i8_m128i, set_splat_i8_m128i,
};

use super::Block;

/// See [`words::not_printable`](super::words::not_printable).
#[inline(always)]
pub(crate) fn not_printable(block: &Block) -> u32 {
    mask(outside_ascii_from(load_unaligned_m128i(block), b' '))
}

/// See [`words::letters_and_hyphens`](super::words::letters_and_hyphens).
#[inline(always)]
pub(crate) fn letters_and_hyphens(block: &Block) -> u32 {
    let bytes = load_unaligned_m128i(block);
    // Setting bit 5 maps capitals onto small letters. What else it maps is below `a` or above `z` either way. The sum
    // puts `a` at the smallest number there is.
    let lower = bitor_m128i(bytes, splat(b' '));
    let from_a = add_i8_m128i(lower, splat(0x80 - b'a'));
    let letters = cmp_gt_mask_i8_m128i(splat(0x80 + 26), from_a);
    mask(bitor_m128i(letters, cmp_eq_mask_i8_m128i(bytes, splat(b'-'))))
}

/// See [`words::of_path`](super::words::of_path).
#[inline(always)]
pub(crate) fn of_path(block: &Block) -> u32 {
    let bytes = load_unaligned_m128i(block);
    let others = [b'?', b'%', b'\\'].into_iter().fold(outside_query(bytes), |others, b| {
        bitor_m128i(others, cmp_eq_mask_i8_m128i(bytes, splat(b))) //
    });
    !mask(others) & 0xffff
}

/// See [`words::of_query`](super::words::of_query).
#[inline(always)]
pub(crate) fn of_query(block: &Block) -> u32 {
    !mask(outside_query(load_unaligned_m128i(block))) & 0xffff
}

/// Marks all but printable ASCII from `first` on: what is below, DEL, and bytes above 127.
#[inline(always)]
fn outside_ascii_from(bytes: m128i, first: u8) -> m128i {
    // DEL and what is above it become negative by adding one, but for 255, which becomes 0.
    cmp_gt_mask_i8_m128i(splat(first + 1), add_i8_m128i(bytes, splat(1)))
}

/// Marks what is no character of a query: spaces, `"`, `#`, `<`, `>`, controls, bytes above 127.
#[inline(always)]
fn outside_query(bytes: m128i) -> m128i {
    // Two characters that differ in one bit are told by one comparison without it.
    let quote_or_hash = cmp_eq_mask_i8_m128i(bitand_m128i(bytes, splat(!(b'"' ^ b'#'))), splat(b'"'));
    let angles = cmp_eq_mask_i8_m128i(bitand_m128i(bytes, splat(!(b'<' ^ b'>'))), splat(b'<'));
    bitor_m128i(outside_ascii_from(bytes, b'!'), bitor_m128i(quote_or_hash, angles))
}

#[inline(always)]
fn splat(b: u8) -> m128i {
    set_splat_i8_m128i(b as i8)
}

/// A bit for each marked byte, the first one lowest.
#[inline(always)]
fn mask(marks: m128i) -> u32 {
    move_mask_i8_m128i(marks) as u32
}
