//! Whether what the poll found is installed now.

use super::windows::Windows;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// How to know whether the network costs by the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metered {
    /// As NetworkManager says, where it runs.
    #[default]
    Auto,
    Never,
    Always,
}

/// What the configuration says about unattended updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) windows: Windows,
    /// In percent; below it nothing begins while the device runs on its battery.
    pub(crate) min_battery: u8,
    pub(crate) metered: Metered,
}

/// A battery that the device runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Battery {
    pub(crate) percent: u8,
}

/// What is known of the device at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The emptiest of those that are being discharged; none on mains.
    pub(crate) battery: Option<Battery>,
    pub(crate) is_metered: bool,
    /// Whether nothing needs to be downloaded any more.
    pub(crate) is_downloaded: bool,
}

/// Why an update that was found is not installed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "for")]
pub(crate) enum Obstacle {
    /// The battery is too low.
    Battery,
    /// The network costs by the byte.
    MeteredNetwork,
    /// No maintenance window is open.
    Window {
        /// When one opens.
        opens: Option<Timestamp>,
    },
}

impl Obstacle {
    /// Whether at least the packages may be brought here meanwhile.
    pub(crate) fn allows_download(self, facts: Facts) -> bool {
        matches!(self, Self::Window { .. }) && !facts.is_metered
    }
}

/// What stands in the way of an update, if anything does.
pub(crate) fn obstacle(policy: &Policy, facts: Facts, now: &Zoned) -> Option<Obstacle> {
    if facts.battery.is_some_and(|battery| battery.percent < policy.min_battery) {
        return Some(Obstacle::Battery);
    }
    if !policy.windows.are_open(now) {
        return Some(Obstacle::Window { opens: policy.windows.next_opening(now) });
    }
    (facts.is_metered && !facts.is_downloaded).then_some(Obstacle::MeteredNetwork)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    #[test]
    fn what_stands_in_the_way_is_named() {
        let windows = toml::from_str::<toml::Table>("w = [\"02:00-04:00\"]").unwrap();
        let windows = windows["w"].clone().try_into().unwrap();
        let policy = Policy { windows, min_battery: 20, metered: Metered::Auto };
        let at = |hour| jiff::civil::date(2026, 11, 20).at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        let found = |battery: Option<u8>, is_metered, is_downloaded, hour| {
            let battery = battery.map(|percent| Battery { percent });
            let facts = Facts { battery, is_metered, is_downloaded };
            let obstacle = obstacle(&policy, facts, &at(hour));
            (obstacle, obstacle.is_some_and(|obstacle| obstacle.allows_download(facts)))
        };
        let opens = Some(at(26 - 24).timestamp() + jiff::SignedDuration::from_hours(24));
        assert_eq!(found(None, false, false, 3), (None, false));
        assert_eq!(found(Some(20), false, false, 3), (None, false));
        assert_eq!(found(Some(19), false, true, 3), (Some(Obstacle::Battery), false));
        assert_eq!(found(None, true, false, 3), (Some(Obstacle::MeteredNetwork), false));
        assert_eq!(found(None, true, true, 3), (None, false));
        assert_eq!(found(None, false, false, 12), (Some(Obstacle::Window { opens }), true));
        assert_eq!(found(None, true, false, 12), (Some(Obstacle::Window { opens }), false));
        assert_eq!(found(Some(5), false, false, 12), (Some(Obstacle::Battery), false));
    }
}
