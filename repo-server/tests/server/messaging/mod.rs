//! Devices that talk over the embedded broker, by Mosquitto's clients and by packets made by hand.

mod attacks;
mod clients;
mod external;
mod kept;
pub(crate) mod official;
mod packets;
mod people;
mod talking;
