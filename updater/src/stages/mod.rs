//! The steps of a transaction: each does one thing and reports whether it worked.

mod download;
mod footprint;
mod health;
mod plan;

pub(crate) use download::Downloads;
pub(crate) use footprint::{scope_of, units_of};
pub(crate) use health::check_health;
pub(crate) use plan::{Choice, Refusal, Rules, choose};
