//! Classes of the characters of a block, by the integer instructions of any processor.
//!
//! The functions compute on the 8 bytes of a word at once, the first one lowest, and mark bytes by their highest bits.
//! Sums are of the lower 7 bits of each byte, so that no carry reaches the next one.

use super::{Block, Class, is_of};

/// Everything but printable ASCII: the control characters, DEL, and bytes above 127.
#[inline]
pub(crate) fn not_printable(block: &Block) -> u32 {
    by_words(block, |word| {
        let low = word & !MARKS;
        let from_space = low + each(0x80 - b' ');
        let is_delete = low + each(0x80 - 0x7f);
        (!from_space | is_delete | word) & MARKS
    })
}

/// The ASCII letters and hyphens.
#[inline]
pub(crate) fn letters_and_hyphens(block: &Block) -> u32 {
    by_words(block, |word| {
        // Setting bit 5 maps capitals onto small letters. What else it maps is below `a` or above `z` either way.
        let lower = (word | each(b' ')) & !MARKS;
        let from_a = lower + each(0x80 - b'a');
        let above_z = lower + each(0x80 - b'z' - 1);
        // The difference to a hyphen, to which 127 is added: only 0 stays below the highest bit.
        let is_no_hyphen = ((word ^ each(b'-')) & !MARKS) + !MARKS;
        ((from_a & !above_z) | !is_no_hyphen) & !word & MARKS
    })
}

/// The characters of [`Class::PATH`].
#[inline]
pub(crate) fn of_path(block: &Block) -> u32 {
    by_table(block, Class::PATH)
}

/// The characters of [`Class::QUERY`].
#[inline]
pub(crate) fn of_query(block: &Block) -> u32 {
    by_table(block, Class::QUERY)
}

/// So many comparisons would be needed for words that looking up each byte is as cheap.
#[inline]
fn by_table(block: &Block, class: Class) -> u32 {
    (0..).zip(block).fold(0, |mask, (at, &b)| mask | u32::from(is_of(b, class)) << at)
}

/// A bit for each byte that `marks` marks in the two words of the block, the first one lowest.
#[inline]
fn by_words(block: &Block, marks: impl Fn(u64) -> u64) -> u32 {
    let [first, second] = [0, 8].map(|at| {
        let word: [u8; 8] = std::array::from_fn(|i| block[at + i]);
        // The product moves the bit of each byte to its place in the highest one.
        ((marks(u64::from_le_bytes(word)) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    });
    first | second << 8
}

/// The highest bit of every byte.
const MARKS: u64 = each(0x80);

/// A word that has `b` in each of its bytes.
const fn each(b: u8) -> u64 {
    u64::from_ne_bytes([b; 8])
}
