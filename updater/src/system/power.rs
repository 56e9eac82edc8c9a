//! Whether the device runs on a battery (Linux's sysfs-class-power).

use super::Device;
use super::bounded::read_text;
use crate::policy::Battery;
use std::path::Path;

/// More power supplies than any device has.
const MOST_SUPPLIES: usize = 32;

impl Device {
    /// The emptiest battery that is being discharged; none on mains, or where nothing is known.
    pub(crate) fn battery(&self) -> Option<Battery> {
        let supplies = self.root.join("sys/class/power_supply").read_dir().ok()?;
        let batteries = supplies.flatten().take(MOST_SUPPLIES).filter_map(|entry| discharging(&entry.path()));
        batteries.min_by_key(|battery| battery.percent)
    }
}

fn discharging(supply: &Path) -> Option<Battery> {
    let value = |name: &str| read_text(&supply.join(name)).map(|text| text.trim().to_owned());
    let is_ours = value("type")? == "Battery"
        // Those of a mouse or a keyboard are of the scope Device.
        && value("scope").is_none_or(|scope| scope != "Device")
        && value("status")? == "Discharging";
    let percent = is_ours.then(|| value("capacity")?.parse().ok()).flatten()?;
    Some(Battery { percent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::ScriptMode;

    #[test]
    fn only_a_discharging_battery_of_the_device_itself_counts() {
        let root = tempfile::tempdir().unwrap();
        let device = Device { root: root.path().to_owned(), scripts: ScriptMode::default() };
        assert_eq!(device.battery(), None);
        let supply = |name: &str, values: &[(&str, &str)]| {
            let folder = root.path().join("sys/class/power_supply").join(name);
            durable_files::create_dir(&folder, 0o755).unwrap();
            for (name, value) in values {
                durable_files::replace(&folder.join(name), format!("{value}\n").as_bytes(), 0o644).unwrap();
            }
        };
        supply("AC", &[("type", "Mains"), ("online", "0")]);
        supply("mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging"), ("capacity", "3")]);
        supply("BAT0", &[("type", "Battery"), ("status", "Charging"), ("capacity", "5")]);
        assert_eq!(device.battery(), None);
        supply("BAT1", &[("type", "Battery"), ("status", "Discharging"), ("capacity", "17")]);
        supply("BAT2", &[("type", "Battery"), ("status", "Discharging"), ("capacity", "many")]);
        assert_eq!(device.battery(), Some(Battery { percent: 17 }));
    }
}
