//! Shares of a whole, in percent.

/// `percent` of `whole`, rounded down; `percent` is at most 100.
///
/// The whole hundreds and the rest are multiplied apart: `whole * percent` itself overflows for a large `whole`, and
/// `whole / 100 * percent` alone is 0 for one below 100. The sum of the two parts is exact.
pub const fn percent_of(whole: usize, percent: usize) -> usize {
    whole / 100 * percent + whole % 100 * percent / 100
}

#[cfg(test)]
mod tests {
    use super::percent_of;

    #[test]
    fn a_share_is_exact_for_small_and_for_large_wholes() {
        for (whole, percent, share) in [
            (0, 75, 0),
            (1, 75, 0),
            (99, 75, 74),
            (256, 75, 192),
            (usize::MAX, 0, 0),
            (usize::MAX, 100, usize::MAX),
            (usize::MAX, 50, usize::MAX / 2),
        ] {
            assert_eq!(percent_of(whole, percent), share, "{percent} % of {whole}");
        }
        for whole in 0..1_000 {
            assert_eq!(percent_of(whole, 37), whole * 37 / 100);
        }
    }
}
