//! What may stand where a step is wanted.

/// A whole number that orders the points of a metric. What does not fit into 64 bits becomes the
/// largest or smallest number that does.
pub trait Step: sealed::Sealed {
    /// The number as it is sent.
    fn into_step(self) -> i64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! steps {
    ($($type:ty)+) => {
        $(
            impl sealed::Sealed for $type {}

            impl Step for $type {
                fn into_step(self) -> i64 {
                    #[allow(unused_comparisons, reason = "one text for signed and unsigned types")]
                    let limit = if self < 0 { i64::MIN } else { i64::MAX };
                    i64::try_from(self).unwrap_or(limit)
                }
            }
        )+
    };
}

steps!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_number_is_a_step() {
        assert_eq!(7_u8.into_step(), 7);
        assert_eq!((-7_i32).into_step(), -7);
        assert_eq!(7_usize.into_step(), 7);
        assert_eq!(u64::MAX.into_step(), i64::MAX);
        assert_eq!(i128::MIN.into_step(), i64::MIN);
    }
}
