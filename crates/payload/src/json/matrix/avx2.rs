//! The hot steps with the instructions that x86-64 processors have had since 2013: AVX2 and BMI.

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_madd_epi16,
    _mm_maddubs_epi16, _mm_movemask_epi8, _mm_packus_epi32, _mm_set1_epi8, _mm_set1_epi16,
    _mm_set1_epi32, _mm_shuffle_epi8, _mm_subs_epu8, _mm_testz_si128, _mm_xor_si128,
    _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
};

use super::{ENOUGH, FIRST, STRIDE, Table, fixed_point, is_doubtful, signed};
use crate::convert::Element;
use crate::json::number::{digit_values, others_than_digits};
use crate::tensor::DType;

/// Whether this processor has the instructions.
#[inline]
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// As [`Table::read`]; safe to call where [`is_available`].
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn read_rows<E: Element>(table: Table<'_>, values: &mut Vec<E>) -> (usize, usize) {
    table.read(
        values,
        |stride| mask(stride),
        |text, start, end| quick(text, start, end),
    )
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn mask(stride: &[u8; STRIDE]) -> u64 {
    let comma = _mm256_set1_epi8(b',' as i8);
    let bracket = _mm256_set1_epi8(b']' as i8);
    let (halves, _) = stride.as_chunks::<32>();
    let mut mask = 0;
    for (index, half) in halves.iter().enumerate() {
        // SAFETY: there are 32 bytes, and they need no alignment.
        let half = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let found = _mm256_or_si256(
            _mm256_cmpeq_epi8(half, comma),
            _mm256_cmpeq_epi8(half, bracket),
        );
        mask |= u64::from(_mm256_movemask_epi8(found) as u32) << (32 * index);
    }
    mask
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: there are 16 bytes, and they need no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn quick<E: Element>(text: &[u8], start: usize, end: usize) -> Option<E> {
    if E::DTYPE == DType::F32 {
        return single(text, start, end).map(|value| E::from_float(value.into()));
    }
    fixed_point(text, start, end).map(E::from_float)
}

/// For each place of the point, which of 16 characters are digits: all but the point, and a zero at
/// the end.
static DIGITS: [[u8; 16]; 16] = {
    let mut places = [[0x80; 16]; 16];
    let mut point = 0;
    while point < 16 {
        let mut digit = 0;
        while digit < 15 {
            places[point][digit] = digit as u8 + (digit >= point) as u8;
            digit += 1;
        }
        point += 1;
    }
    places
};

/// What 16 digits are to be multiplied with for each place of the point. The nearest doubles.
static SCALES: [f64; 16] = [
    1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3,
    1e-2, 1e-1,
];

/// As [`super::single`], with the point behind one to 15 digits.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn single(text: &[u8], start: usize, end: usize) -> Option<f32> {
    let negative = text.get(start) == Some(&b'-');
    let start = start + usize::from(negative);
    let length = end.wrapping_sub(start);
    let kept = length.min(16);
    let characters = load(text.get(start..)?.first_chunk()?);
    let values = _mm_and_si128(
        _mm_xor_si128(characters, _mm_set1_epi8(b'0' as i8)),
        load(&FIRST[kept].to_le_bytes()),
    );
    let point = _mm_set1_epi8((b'.' ^ b'0') as i8);
    let points = _mm_movemask_epi8(_mm_cmpeq_epi8(values, point)) as u32;
    let whole = (points | 1 << kept).trailing_zeros() as usize;
    if !(1..16).contains(&whole) || whole + 1 == length || length > 24 {
        return None;
    }
    let digits = _mm_shuffle_epi8(values, load(&DIGITS[whole]));
    let others = _mm_subs_epu8(digits, _mm_set1_epi8(9));
    let mut doubt = whole > 1 && text[start] == b'0';
    // An integer has no negative zero.
    doubt |= length == 1 && negative;
    let mut is_number = _mm_testz_si128(others, others) == 1;
    // Two digits each, then four, then eight.
    let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
    let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x0001_0064));
    let eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(0x0001_2710));
    let both = _mm_cvtsi128_si64(eights) as u64;
    let significand = (both & u64::from(u32::MAX)) * 100_000_000 + (both >> 32);
    if length > 16 {
        let rest = u64::from_le_bytes(*text.get(..end)?.last_chunk()?);
        is_number &= others_than_digits(digit_values(rest)) == 0;
        doubt |= significand < ENOUGH;
    }
    let value = significand as i64 as f64 * SCALES[whole];
    if !is_number || doubt || is_doubtful(value) {
        return None;
    }
    Some(signed(value as f32, negative))
}

#[cfg(test)]
mod tests {
    use super::{is_available, mask, single};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_portable_way(text in "-?[0-9]{1,8}(\\.[0-9]{0,20})?[a-z]?") {
            prop_assume!(is_available());
            let padded = format!("[[[[[[[[[[[[[[[[{text}, 1.5]]]]]]]]]]]]]]]]");
            let (padded, end) = (padded.as_bytes(), 16 + text.len());
            // SAFETY: the processor has the instructions.
            let value = unsafe { single(padded, 16, end) };
            if let Some(value) = value {
                let expected = text.parse::<f64>().unwrap() as f32;
                prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}", text);
            }
            if let Some(portable) = super::super::single(padded, 16, end) {
                prop_assert_eq!(value, Some(portable), "{}", text);
            }
        }

        #[test]
        fn the_masks_are_the_same(bytes: [[u8; 32]; 2], letters in "[,\\]a]{64}") {
            prop_assume!(is_available());
            for stride in [bytes.as_flattened(), letters.as_bytes()] {
                let stride = stride.first_chunk().unwrap();
                // SAFETY: the processor has the instructions.
                prop_assert_eq!(unsafe { mask(stride) }, super::super::mask(stride));
            }
        }
    }
}
