//! Rows of numbers, read in two steps: first where numbers end, then what they are.
//!
//! Reading a number to its end before the next one can begin makes each wait for the one before.
//! With the ends known beforehand the processor reads several at a time. The ends are found for a
//! block of text at once, as Langdale and Lemire do in "Parsing gigabytes of JSON per second"
//! (2019).
//!
//! Only rows of numbers are read, with nothing between them but a comma and at most one space: what
//! `json.dumps` and `DataFrame.to_json` write. At anything else the reader stops at the end of the
//! row before it, and the scanner takes over.

#![allow(
    clippy::inline_always,
    reason = "what is inlined is compiled for the instructions that its caller may use"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::decimal;
use super::number::{self, SAFE_DIGITS, digit_values, eight_digits, others_than_digits};
use crate::convert::Element;
use crate::tensor::DType;

/// Bytes of text whose numbers' ends are found in one go.
const BLOCK: usize = 1024;

/// Bytes for which a mask has one bit each.
const STRIDE: usize = 64;

/// Ends that are written at once.
const GROUP: usize = 4;

/// Whether reading in two steps is worth another attempt: the first step looks far ahead, which is
/// in vain where rows of other things are many.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Rows to leave to the scanner.
    pause: u32,
    /// Attempts in a row that came to nothing.
    failed: u32,
}

impl Attempts {
    /// Asked before each row.
    fn allow(&mut self) -> bool {
        let now = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        now
    }

    fn note(&mut self, rows: usize) {
        self.failed = if rows > 0 {
            0
        } else {
            (self.failed + 1).min(6)
        };
        self.pause = (1 << self.failed) - 1;
    }
}

/// Reads rows of `width` numbers, the first of which begins with a bracket at `start`, and appends
/// the numbers to `values`. Gives how many rows were read and where the last one ends.
pub(super) fn read_rows<E: Element>(
    text: &[u8],
    start: usize,
    width: usize,
    values: &mut Vec<E>,
    attempts: &mut Attempts,
) -> (usize, usize) {
    if !attempts.allow() {
        return (0, start);
    }
    let filled = values.len();
    let table = Table { text, start, width };
    let (rows, end) = if width > 0 && text.get(start) == Some(&b'[') {
        run(table, values)
    } else {
        (0, start)
    };
    values.truncate(filled + rows * width);
    attempts.note(rows);
    (rows, end)
}

/// The steps as this processor does them best.
fn run<E: Element>(table: Table<'_>, values: &mut Vec<E>) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        // SAFETY: the processor has the instructions.
        return unsafe { avx2::read_rows(table, values) };
    }
    table.read(values, mask, quick)
}

/// Where rows are to be read.
#[derive(Clone, Copy)]
struct Table<'a> {
    text: &'a [u8],
    start: usize,
    width: usize,
}

impl Table<'_> {
    /// Reads as many rows as there are, and maybe a part of the next. `mask` finds ends, and
    /// `quick` reads a number that it finds easy. Gives the number of whole rows, and where the
    /// last one ends.
    #[inline(always)]
    fn read<E: Element>(
        self,
        values: &mut Vec<E>,
        mask: impl Fn(&[u8; STRIDE]) -> u64 + Copy,
        quick: impl Fn(&[u8], usize, usize) -> Option<E> + Copy,
    ) -> (usize, usize) {
        let Self { text, start, width } = self;
        let mut ends = [0; BLOCK + GROUP];
        let (mut rows, mut last_end) = (0, start);
        // The numbers of the row in hand, and where the next one begins.
        let (mut column, mut at) = (0, start + 1);
        let mut numbers = Numbers::default();
        let mut block = start;
        'table: while block < text.len() {
            let count = find_ends(text, block, &mut ends, mask);
            for end in ends.get(..count).unwrap_or_default() {
                let end = block + usize::from(*end);
                if end < at {
                    // The comma between two rows.
                    continue;
                }
                let first = at + usize::from(text.get(at) == Some(&b' '));
                let value = match quick(text, first, end) {
                    Some(value) => value,
                    None => match slow(text, first, end) {
                        Some(value) => value,
                        None => break 'table,
                    },
                };
                numbers.push(value, values);
                column += 1;
                at = end + 1;
                let is_last = text.get(end) == Some(&b']');
                if is_last != (column == width) {
                    break 'table;
                }
                if is_last {
                    rows += 1;
                    last_end = at;
                    column = 0;
                    if rows == 1 {
                        self.reserve(at, values);
                    }
                    match next_row(text, at) {
                        Some(next) => at = next,
                        None => break 'table,
                    }
                }
            }
            block += BLOCK;
        }
        numbers.flush(values);
        (rows, last_end)
    }

    /// Makes room, guessed from the first row: most payloads are regular, and growing copies.
    fn reserve<E>(self, end: usize, values: &mut Vec<E>) {
        let left = self.text.len().saturating_sub(end);
        values.reserve(left / (end - self.start).max(1) * self.width);
    }
}

/// Numbers on their way into the tensor, some at a time.
struct Numbers<E> {
    numbers: [E; 32],
    count: usize,
}

impl<E: Element> Default for Numbers<E> {
    fn default() -> Self {
        Self {
            numbers: std::array::from_fn(|_| E::default()),
            count: 0,
        }
    }
}

impl<E: Element> Numbers<E> {
    #[inline(always)]
    fn push(&mut self, number: E, values: &mut Vec<E>) {
        self.numbers[self.count % 32] = number;
        self.count += 1;
        if self.count == 32 {
            self.flush(values);
        }
    }

    fn flush(&mut self, values: &mut Vec<E>) {
        values.extend_from_slice(&self.numbers[..self.count]);
        self.count = 0;
    }
}

/// The number between `start` and `end`, whatever its form, by way of the nearest double. `None`
/// where there is none, or where it does not fit.
#[cold]
#[inline(never)]
fn slow<E: Element>(text: &[u8], start: usize, end: usize) -> Option<E> {
    let value = fixed_point(text, start, end).or_else(|| {
        let text = text.get(start..end)?;
        let (number, length) = number::read(text)?;
        (length == text.len()).then(|| number.to_f64())
    })?;
    let element = E::from_float(value);
    (!element.overflowed()).then_some(element)
}

/// Where the first number of the next row begins, if one follows at `at`.
#[inline]
fn next_row(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at..at + 3) {
        Some([b',', b' ', b'[']) => Some(at + 3),
        Some([b',', b'[', _]) => Some(at + 2),
        _ => None,
    }
}

/// Writes where commas and closing brackets stand in the block at `block`, counted from there.
/// Gives how many there are.
#[inline(always)]
fn find_ends(
    text: &[u8],
    block: usize,
    ends: &mut [u16; BLOCK + GROUP],
    mask: impl Fn(&[u8; STRIDE]) -> u64,
) -> usize {
    let block = &text[block..text.len().min(block + BLOCK)];
    let mut count = 0;
    let (strides, rest) = block.as_chunks::<STRIDE>();
    let mut offset = 0;
    for stride in strides {
        count = write_ends(mask(stride), offset, ends, count);
        offset += STRIDE as u16;
    }
    let mut last = [0; STRIDE];
    last[..rest.len()].copy_from_slice(rest);
    write_ends(mask(&last), offset, ends, count)
}

/// Appends the places of the set bits.
#[inline(always)]
fn write_ends(mut mask: u64, offset: u16, ends: &mut [u16; BLOCK + GROUP], count: usize) -> usize {
    let bits = mask.count_ones() as usize;
    let mut written = 0;
    // A group at a time: how many there are in a stride is hard to predict, how many groups is not.
    while written < bits {
        let Some(group) = ends
            .get_mut(count + written..)
            .and_then(|rest| rest.first_chunk_mut::<GROUP>())
        else {
            break;
        };
        for end in group {
            *end = offset.wrapping_add(mask.trailing_zeros() as u16);
            mask &= mask.wrapping_sub(1);
        }
        written += GROUP;
    }
    count + bits
}

/// One bit for each byte that is a comma or a closing bracket, the first byte in the lowest one.
#[cfg(target_arch = "x86_64")]
#[inline]
fn mask(stride: &[u8; STRIDE]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let (parts, _) = stride.as_chunks::<16>();
    let mut mask = 0;
    for (index, part) in parts.iter().enumerate() {
        let part = u128::from_le_bytes(*part);
        // SAFETY: every x86-64 processor has SSE2, which is all that these need.
        let found = unsafe {
            let bytes = _mm_set_epi64x((part >> 64) as i64, part as i64);
            let comma = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b',' as i8));
            let bracket = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b']' as i8));
            _mm_movemask_epi8(_mm_or_si128(comma, bracket))
        };
        mask |= u64::from(found as u16) << (16 * index);
    }
    mask
}

/// One bit for each byte that is a comma or a closing bracket, the first byte in the lowest one.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn mask(stride: &[u8; STRIDE]) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let is = |word: u64, byte: u8| {
        let word = word ^ u64::from_ne_bytes([byte; 8]);
        !(((word & LOW) + LOW) | word | LOW)
    };
    let (words, _) = stride.as_chunks::<8>();
    let mut mask = 0;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = (is(word, b',') | is(word, b']')) >> 7;
        // The lowest bit of each byte goes to the top byte, in order.
        mask |= (found.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index);
    }
    mask
}

/// The number between `start` and `end`, where the quick way tells it.
#[inline]
fn quick<E: Element>(text: &[u8], start: usize, end: usize) -> Option<E> {
    if E::DTYPE == DType::F32 {
        return single(text, start, end).map(|value| E::from_float(value.into()));
    }
    fixed_point(text, start, end).map(E::from_float)
}

/// For up to 16 characters, the bytes that hold the first ones of a word.
static FIRST: [u128; 17] = {
    let mut masks = [u128::MAX; 17];
    let mut count = 0;
    while count < 16 {
        masks[count] = (1 << (8 * count)) - 1;
        count += 1;
    }
    masks
};

/// What 16 digits are to be multiplied with for each place of the point. The nearest doubles.
static SCALES: [f64; 8] = [1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9];

/// The least value of 16 digits that is exact enough without those behind.
const ENOUGH: u64 = 1_000_000_000_000;

/// Whether a double that is off by less than 2^17 units in its last place may lie on the other side
/// of a point half-way between two values of single precision.
#[inline]
fn is_doubtful(value: f64) -> bool {
    const HALF: u64 = 1 << 28;
    const DOUBT: u64 = 1 << 17;
    let low = value.to_bits() & (2 * HALF - 1);
    low.wrapping_sub(HALF - DOUBT) <= 2 * DOUBT
}

/// The value with a sign.
#[inline]
fn signed(value: f32, negative: bool) -> f32 {
    f32::from_bits(value.to_bits() | u32::from(negative) << (u32::BITS - 1))
}

/// The number between `start` and `end` in single precision, from its first 16 characters: an
/// integer of up to seven digits, or a number with a point behind one to seven digits. `None` for
/// everything else, and where the first 16 characters leave a doubt.
///
/// The result is the double nearest to the number, rounded to single precision, as a conversion in
/// two steps has it. It is found without that double: the product below is off by less than 2^17
/// units in its last place (2 for the roundings, the rest for what 12 digits leave out), so that it
/// rounds as the nearest double does unless it lies within that distance from a point half-way
/// between two values of single precision.
#[inline]
fn single(text: &[u8], start: usize, end: usize) -> Option<f32> {
    const DIGITS: u128 = 0x3030_3030_3030_3030_3030_3030_3030_3030;
    const POINTS: u64 = 0x1e1e_1e1e_1e1e_1e1e;
    let negative = text.get(start) == Some(&b'-');
    let start = start + usize::from(negative);
    let length = end.wrapping_sub(start);
    let characters = u128::from_le_bytes(*text.get(start..)?.first_chunk()?);
    let values = (characters ^ DIGITS) & FIRST[length.min(16)];
    // Where a point is, as in `fixed_point`; behind the number there is none.
    let points = values as u64 ^ POINTS;
    let points = points.wrapping_sub(0x0101_0101_0101_0101) & !points & 0x8080_8080_8080_8080;
    let whole = (points.trailing_zeros() as usize / 8).min(length);
    if !(1..8).contains(&whole) || whole + 1 == length || length > 24 {
        return None;
    }
    // Taken out, and a zero put at the end.
    let before = FIRST[whole];
    let digits = (values & before) | ((values >> 8) & !before);
    let (first, second) = (digits as u64, (digits >> 64) as u64);
    let significand = eight_digits(first) * TENS[8] + eight_digits(second);
    let mut others = others_than_digits(first) | others_than_digits(second);
    let mut doubt = whole > 1 && first as u8 == 0;
    // An integer has no negative zero.
    doubt |= length == 1 && negative;
    if length > 16 {
        let rest = u64::from_le_bytes(*text.get(..end)?.last_chunk()?);
        others |= others_than_digits(digit_values(rest));
        doubt |= significand < ENOUGH;
    }
    let value = significand as i64 as f64 * SCALES[whole];
    if others != 0 || doubt || is_doubtful(value) {
        return None;
    }
    Some(signed(value as f32, negative))
}

/// For up to eight digits, the bytes that hold the last ones of a word.
const LAST: [u64; 9] = {
    let mut masks = [0; 9];
    let mut count = 1;
    while count <= 8 {
        masks[count] = u64::MAX << (64 - 8 * count);
        count += 1;
    }
    masks
};

/// Powers of ten that a `u64` holds, up to the eighteenth.
const TENS: [u64; SAFE_DIGITS] = {
    let mut powers = [1; SAFE_DIGITS];
    let mut exponent = 1;
    while exponent < SAFE_DIGITS {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// The number between `start` and `end`, if it has a point behind one to seven digits, no exponent,
/// and at most 19 digits: nearly every measured value has. `None` for everything else.
#[inline]
fn fixed_point(text: &[u8], start: usize, end: usize) -> Option<f64> {
    let negative = usize::from(text.get(start) == Some(&b'-'));
    let start = start + negative;
    let head = u64::from_le_bytes(*text.get(start..)?.first_chunk()?);
    let dots = head ^ 0x2e2e_2e2e_2e2e_2e2e;
    // The lowest zero byte is exact; those above it may be wrong.
    let dots = dots.wrapping_sub(0x0101_0101_0101_0101) & !dots & 0x8080_8080_8080_8080;
    let whole = dots.trailing_zeros() as usize / 8;
    let fraction = end.wrapping_sub(start + whole + 1);
    if !(1..8).contains(&whole) || !(1..=SAFE_DIGITS - whole).contains(&fraction) {
        return None;
    }
    let head = digit_values(head) << (64 - 8 * whole);
    let tail = text.get(..end)?.last_chunk::<16>()?;
    let tail = u128::from_le_bytes(*tail);
    let last = digit_values((tail >> 64) as u64) & LAST[fraction.min(8)];
    let middle = digit_values(tail as u64) & LAST[fraction.saturating_sub(8).min(8)];
    if (others_than_digits(head) | others_than_digits(middle) | others_than_digits(last)) != 0
        || (whole > 1 && text[start] == b'0')
    {
        return None;
    }
    let mut significand = eight_digits(middle) * TENS[8] + eight_digits(last);
    if fraction > 16 {
        significand += first_digits(text.get(end - fraction..end - 16)?)? * TENS[16];
    }
    significand += eight_digits(head) * TENS[fraction];
    let value = if significand == 0 {
        0.0
    } else {
        decimal::nearest(significand, -(fraction as i32))?
    };
    Some(f64::from_bits(
        value.to_bits() | (negative as u64) << (u64::BITS - 1),
    ))
}

/// The digits of a long fraction before its last sixteen.
fn first_digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(value * 10 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Attempts, fixed_point, single};
    use crate::convert::Element;
    use proptest::prelude::*;

    fn read_rows<E: Element>(text: &[u8], width: usize, values: &mut Vec<E>) -> (usize, usize) {
        super::read_rows(text, 0, width, values, &mut Attempts::default())
    }

    fn rows(text: &str, width: usize) -> (usize, String, Vec<f64>) {
        let mut values = vec![7.0f64];
        let (rows, end) = read_rows(text.as_bytes(), width, &mut values);
        assert_eq!(values.remove(0).to_bits(), 7.0f64.to_bits());
        (rows, text[end..].to_owned(), values)
    }

    #[test]
    fn whole_rows_are_read() {
        assert_eq!(
            rows("[1.5, -2.25], [3, 4e1],[0.0,-0.0]]", 2),
            (3, "]".to_owned(), vec![1.5, -2.25, 3.0, 40.0, 0.0, 0.0])
        );
        assert_eq!(rows("[1],[2]", 1), (2, String::new(), vec![1.0, 2.0]));
    }

    #[test]
    fn it_stops_before_a_row_that_is_not_plain() {
        for row in [
            "[null, 1.0]",
            "[1.0]",
            "[1.0, 2.0, 3.0]",
            "[1.0, 2.0",
            "[1.0,  2.0]",
            "[01.5, 2.0]",
            "[1., 2.0]",
            "[.5, 2.0]",
            "[1.5.5, 2.0]",
            "[1-5.0, 2.0]",
            "[\"1.0\", 2.0]",
            "[NaN, 1.0]",
            "[[1.0], 2.0]",
            "[1.0,]",
            "[,1.0]",
            "[]",
            "[1.0 ,2.0]",
            "[+1.0, 2.0]",
            "[--1.0, 2.0]",
            "[1.0, 2.0}",
            "[1e, 2.0]",
            "[1.0x, 2.0]",
        ] {
            let text = format!("[1.0, 2.0], {row}, [3.0, 4.0]]");
            let (count, rest, values) = rows(&text, 2);
            assert_eq!((count, values), (1, vec![1.0, 2.0]), "{row}");
            assert!(rest.starts_with(&format!(", {row}")), "{row}: {rest}");
        }
        assert_eq!(rows("7]", 2).0, 0);
        assert_eq!(rows("[1.0, 2.0]", 0).0, 0);
    }

    #[test]
    fn a_value_that_single_precision_cannot_hold_is_left_to_others() {
        let mut values: Vec<f32> = Vec::new();
        let text = b"[1.5], [1e39], [2.5]]";
        assert_eq!(read_rows(text, 1, &mut values).0, 1);
        assert_eq!(values, [1.5]);
    }

    #[test]
    fn attempts_grow_rare_where_they_come_to_nothing() {
        let mut attempts = Attempts::default();
        let mut made = 0;
        for _ in 0..1000 {
            if attempts.allow() {
                made += 1;
                attempts.note(0);
            }
        }
        assert!((10..30).contains(&made), "{made}");
        attempts.note(1);
        assert!(attempts.allow());
    }

    proptest! {
        #[test]
        fn a_table_of_any_doubles_is_read_as_it_was_written(
            table in prop::collection::vec(prop::collection::vec(-1e6f64..1e6, 3), 1..200),
            compact: bool,
        ) {
            let mut text = format!("{table:?}");
            if compact {
                text.retain(|letter| letter != ' ');
            }
            let (count, rest, values) = rows(&text[1..], 3);
            prop_assert_eq!(count, table.len());
            prop_assert_eq!(rest, "]");
            prop_assert_eq!(values, table.concat());
        }

        #[test]
        fn the_quick_way_agrees_where_it_answers(text in "-?[0-9]{1,8}\\.[0-9]{1,20}") {
            let padded = format!("[[[[[[[[[[[[[[[[{text}, 1.5]]]]");
            if let Some(value) = fixed_point(padded.as_bytes(), 16, 16 + text.len()) {
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
            }
        }

        #[test]
        fn single_precision_is_rounded_by_way_of_the_double(text in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,22})?") {
            let padded = format!("[[[[[[[[[[[[[[[[{text}, 1.5]]]]]]]]]]]]]]]]");
            if let Some(value) = single(padded.as_bytes(), 16, 16 + text.len()) {
                let expected = text.parse::<f64>().unwrap() as f32;
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
                prop_assert_ne!(&text, "-0", "an integer has no negative zero");
            }
        }

        #[test]
        fn doubts_near_the_middle_of_two_values_are_left_to_others(bits in 0x3a80_0000u32..0x4a80_0000, offset in -3i64..=3, digits in 1usize..20) {
            // Half-way between two values of single precision, and the doubles beside it.
            let middle = f64::midpoint(f32::from_bits(bits).into(), f32::from_bits(bits + 1).into());
            let value = f64::from_bits(middle.to_bits().wrapping_add_signed(offset));
            for text in [format!("{value:?}"), format!("{value:.digits$}")] {
                let padded = format!("[[[[[[[[[[[[[[[[{text}, 1.5]]]]]]]]]]]]]]]]");
                if let Some(value) = single(padded.as_bytes(), 16, 16 + text.len()) {
                    let expected = text.parse::<f64>().unwrap() as f32;
                    prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
                }
            }
        }

        #[test]
        fn any_bytes_are_borne(text in "[\\[\\], 0-9.eE+-]{0,60}", width in 0usize..4) {
            let (count, rest, values) = rows(&text, width);
            prop_assert_eq!(values.len(), count * width);
            // What was taken is what the general reader takes.
            let taken = &text[..text.len() - rest.len()];
            if count > 0 {
                let again: Vec<Vec<f64>> = serde_json::from_str(&format!("[{taken}]")).unwrap();
                prop_assert_eq!(values, again.concat());
            }
        }
    }
}
