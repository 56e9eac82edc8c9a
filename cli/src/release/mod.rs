//! The parts of `debfleet release`; the command composes them.

pub(crate) mod ci;
pub(crate) mod readback;
pub(crate) mod told;
pub(crate) mod version;
