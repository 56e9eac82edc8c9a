//! Numbers in an index of whole ones.

/// Numbers as whole ones that are in the same order.
pub(super) fn ordered(number: f64) -> i64 {
    let bits = (number + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_order() {
        let numbers = [f64::MIN, -1e9, -1.5, -1.0, -f64::MIN_POSITIVE, 0.0, 1e-9, 1.0, 1.5, 2.0, 1e300];
        assert!(numbers.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
