//! When to poll, and whether what was found is installed now: pure decisions. The time, the zone, what is known of the
//! device and chance are passed in.

mod phasing;
mod postponing;
mod schedule;
mod windows;

pub(crate) use phasing::{MachineId, is_phased_in};
pub(crate) use postponing::{Battery, Facts, Metered, Obstacle, Policy, obstacle};
pub(crate) use schedule::{Slot, after_failures, doubling};
pub(crate) use windows::Windows;
