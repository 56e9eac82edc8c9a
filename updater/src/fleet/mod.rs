//! The device and its fleet's broker: it tells what is installed and where it stands, and hears what it should be.

mod attempt;
mod device;
mod line;
mod patch;
mod session;
mod shadow;

pub(crate) use attempt::Outcome;
pub(crate) use device::{Applied, Device, Standing};
pub(crate) use session::{Settings, keep};
