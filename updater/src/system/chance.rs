//! Chance, where a fleet must not act as one.

/// Any number.
pub(crate) fn chance() -> u64 {
    let mut bytes = [0; 8];
    // Without any the fleet is spread by the machine-id alone.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
