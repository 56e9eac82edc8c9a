//! A short selection of the fault campaign; `cargo xtask crash` runs all of it.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::crash::{Selection, campaign};

#[test]
fn an_update_disturbed_at_a_few_steps_is_the_old_one_or_the_new_one() {
    let tally = campaign(&Selection { is_sample: true, ..Selection::default() }).unwrap();
    assert_eq!(tally.between, 0, "{tally}");
    assert!(tally.old > 0 && tally.new > 0, "{tally}");
}
