//! The double nearest to a decimal `significand × 10^exponent`, without another look at the text.
//!
//! The method is that of Lemire, "Number parsing at a gigabyte per second" (2021): the significand
//! times a 128-bit approximation of the power of five settles all but rare ties. Only exponents
//! from -27 to 27 are handled, where the approximation leaves no doubt; that is nearly every number
//! in a payload, and the rest goes to a library.

/// The largest exponent, and the negative of the smallest, that the table covers. 5^27 is the
/// largest power of five below 2^64.
const LIMIT: i32 = 27;

/// Bits of a double's significand behind the leading one.
const FRACTION_BITS: u32 = 52;

/// For each exponent the 128 leading bits of that power of five.
static POWERS_OF_FIVE: [u128; 2 * LIMIT as usize + 1] = powers_of_five();

const fn powers_of_five() -> [u128; 2 * LIMIT as usize + 1] {
    let mut table = [0; 2 * LIMIT as usize + 1];
    let mut power: u128 = 1;
    let mut exponent = 0;
    while exponent <= LIMIT as usize {
        // Exact: moved up until the leading bit is set.
        table[LIMIT as usize + exponent] = power << power.leading_zeros();
        if exponent > 0 {
            table[LIMIT as usize - exponent] = reciprocal(power);
        }
        power *= 5;
        exponent += 1;
    }
    table
}

/// The 128 leading bits of `1 / power`, rounded up, by long division.
const fn reciprocal(power: u128) -> u128 {
    let bits = u128::BITS - power.leading_zeros();
    let mut remainder = (1 << bits) - power;
    let mut quotient: u128 = 1;
    let mut step = 0;
    while step < 127 {
        remainder <<= 1;
        quotient <<= 1;
        if remainder >= power {
            remainder -= power;
            quotient |= 1;
        }
        step += 1;
    }
    quotient + 1
}

/// The double nearest to `significand × 10^exponent`, or `None` where this method does not tell.
#[inline]
pub(super) fn nearest(significand: u64, exponent: i32) -> Option<f64> {
    if significand == 0 || !(-LIMIT..=LIMIT).contains(&exponent) {
        return None;
    }
    let shift = significand.leading_zeros();
    let (low, high) = product(
        significand << shift,
        POWERS_OF_FIVE[(exponent + LIMIT) as usize],
    );
    let upper = (high >> 63) as u32;
    let dropped = upper + 64 - FRACTION_BITS - 3;
    let mut fraction = high >> dropped;
    // floor(exponent × log2(5)) + exponent, by a fixed-point product.
    let binary = ((exponent * (152_170 + 65_536)) >> 16) + 63;
    let mut biased = binary + upper as i32 - shift as i32 + 1023;
    // Half-way between two doubles exactly: to the even one.
    if low <= 1 && (-4..=23).contains(&exponent) && fraction & 3 == 1 && fraction << dropped == high
    {
        fraction &= !1;
    }
    fraction += fraction & 1;
    fraction >>= 1;
    if fraction >= 2 << FRACTION_BITS {
        fraction = 1 << FRACTION_BITS;
        biased += 1;
    }
    let fraction = fraction & !(1 << FRACTION_BITS);
    // Within the table no result is subnormal or infinite.
    Some(f64::from_bits(fraction | (biased as u64) << FRACTION_BITS))
}

/// The low and the high half of the 128 leading bits of a product of 64 with 128 bits; the lower
/// part of the power is only used where it may matter.
#[inline]
fn product(significand: u64, power: u128) -> (u64, u64) {
    let first = u128::from(significand) * (power >> 64);
    let (low, high) = (first as u64, (first >> 64) as u64);
    let undecided = u64::MAX >> (FRACTION_BITS + 3);
    if high & undecided != undecided {
        return (low, high);
    }
    let second = (u128::from(significand) * u128::from(power as u64)) >> 64;
    let whole = first + second;
    (whole as u64, (whole >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_the_even_double() {
        // 2^53 + 1 and 2^53 + 3 lie half-way between doubles.
        for (significand, exponent) in [
            (9_007_199_254_740_993, 0),
            (9_007_199_254_740_995, 0),
            (90_071_992_547_409_930, -1),
            (5, -1),
            (25, -2),
            (1, 23),
            (1, 22),
        ] {
            let expected: f64 = format!("{significand}e{exponent}").parse().unwrap();
            assert_eq!(
                nearest(significand, exponent),
                Some(expected),
                "{significand}e{exponent}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn agrees_with_the_standard_library(significand in 1u64.., exponent in -27i32..=27) {
            let expected: f64 = format!("{significand}e{exponent}").parse().unwrap();
            prop_assert_eq!(nearest(significand, exponent), Some(expected), "{}e{}", significand, exponent);
        }

        #[test]
        fn doubles_of_seventeen_digits_come_back(value in 1e-9f64..1e9) {
            let text = format!("{value:.16e}");
            let (mantissa, exponent) = text.split_once('e').unwrap();
            let significand: u64 = mantissa.replace('.', "").parse().unwrap();
            let exponent = exponent.parse::<i32>().unwrap() - 16;
            if (-27..=27).contains(&exponent) {
                prop_assert_eq!(nearest(significand, exponent), Some(value));
            }
        }
    }
}
