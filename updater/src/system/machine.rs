//! What tells this device from others.

use super::Device;
use super::bounded::read_text;
use crate::policy::MachineId;

/// Where machine-id(5) is, and where it was before.
const PLACES: [&str; 2] = ["etc/machine-id", "var/lib/dbus/machine-id"];

impl Device {
    /// Its machine-id, once a first boot has made one.
    pub(crate) fn machine_id(&self) -> Option<MachineId> {
        let text = PLACES.iter().find_map(|place| read_text(&self.root.join(place)))?;
        MachineId::parse(&text)
    }
}
