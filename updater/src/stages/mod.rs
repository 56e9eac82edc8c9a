//! The steps of a transaction: each does one thing and reports whether it worked.

mod automatic;
mod download;
mod footprint;
mod health;
mod http_probe;
mod installed_policy;
mod plan;
mod privileges;
mod set;

pub(crate) use automatic::marked;
pub(crate) use download::Downloads;
pub(crate) use footprint::{owned_paths, scope_of, units_of};
pub(crate) use health::{DeviceCheck, OnTrial, Trial, Verdict, Wish, check_health, commit_window};
pub(crate) use installed_policy::installed_policy;
pub(crate) use plan::{Choice, Refusal, Rules, choose};
pub(crate) use privileges::demand_no_new_privileges;
pub(crate) use set::{Plan, SetFacts, SetRefusal, judge, unpacked_bytes};
