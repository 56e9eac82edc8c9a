//! Where a query looks.

use crate::names::ShadowName;
use std::fmt;
use std::str::FromStr;

/// A field of what is known of things. Names are compared with case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `thingName`.
    ThingName,
    /// `thingId`.
    ThingId,
    /// `thingTypeName`.
    ThingTypeName,
    /// `thingGroupNames`: the groups that a thing is in itself, without their parents.
    ThingGroupNames,
    /// `connectivity.connected`.
    Connected,
    /// `connectivity.timestamp`: when that changed last, in milliseconds since 1970.
    ConnectivityTimestamp,
    /// `connectivity.disconnectReason`.
    DisconnectReason,
    /// `attributes.NAME`.
    Attribute(String),
    /// `shadow.SECTION.PATH`, or `shadow.name.NAME.SECTION.PATH` of a named shadow.
    Shadow {
        /// Absent for the classic shadow.
        name: Option<ShadowName>,
        /// Which part of it.
        section: Section,
        /// The keys from there, with dots between them.
        path: String,
    },
    /// `shadow.hasDelta`, or `shadow.name.NAME.hasDelta`: whether what is desired is not what is reported.
    HasDelta(Option<ShadowName>),
}

/// A part of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// What the device shall be.
    Desired,
    /// What it says it is.
    Reported,
    /// Where they differ.
    Delta,
}

impl Section {
    fn as_str(self) -> &'static str {
        match self {
            Self::Desired => "desired",
            Self::Reported => "reported",
            Self::Delta => "delta",
        }
    }
}

/// A text that names no field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no field {0:?} to search in; there are thingName, thingId, thingTypeName, thingGroupNames, attributes.NAME, \
     shadow.reported.KEY (or desired, delta), shadow.hasDelta, shadow.name.SHADOW.reported.KEY, connectivity.connected, \
     connectivity.timestamp and connectivity.disconnectReason; a colon that belongs to a value is written \\:"
)]
pub struct FieldError(String);

impl Field {
    /// Whether its values may be numbers.
    pub(super) fn has_numbers(&self) -> bool {
        matches!(self, Self::ConnectivityTimestamp | Self::Attribute(_) | Self::Shadow { .. })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |name: &Option<ShadowName>| name.as_ref().map_or(String::new(), |name| format!("name.{name}."));
        match self {
            Self::ThingName => f.write_str("thingName"),
            Self::ThingId => f.write_str("thingId"),
            Self::ThingTypeName => f.write_str("thingTypeName"),
            Self::ThingGroupNames => f.write_str("thingGroupNames"),
            Self::Connected => f.write_str("connectivity.connected"),
            Self::ConnectivityTimestamp => f.write_str("connectivity.timestamp"),
            Self::DisconnectReason => f.write_str("connectivity.disconnectReason"),
            Self::Attribute(name) => write!(f, "attributes.{name}"),
            Self::Shadow { name, section, path } => write!(f, "shadow.{}{}.{path}", of(name), section.as_str()),
            Self::HasDelta(name) => write!(f, "shadow.{}hasDelta", of(name)),
        }
    }
}

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let unknown = || FieldError(text.chars().take(80).collect());
        let whole = match text {
            "thingName" => Self::ThingName,
            "thingId" => Self::ThingId,
            "thingTypeName" => Self::ThingTypeName,
            "thingGroupNames" => Self::ThingGroupNames,
            "connectivity.connected" => Self::Connected,
            "connectivity.timestamp" => Self::ConnectivityTimestamp,
            "connectivity.disconnectReason" => Self::DisconnectReason,
            _ => match text.split_once('.') {
                Some(("attributes", name)) if !name.is_empty() => Self::Attribute(name.to_owned()),
                Some(("shadow", rest)) => return shadow_field(rest).ok_or_else(unknown),
                _ => return Err(unknown()),
            },
        };
        Ok(whole)
    }
}

fn shadow_field(rest: &str) -> Option<Field> {
    let (name, rest) = match rest.strip_prefix("name.") {
        Some(named) => {
            let (name, rest) = named.split_once('.')?;
            (Some(name.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    if rest == "hasDelta" {
        return Some(Field::HasDelta(name));
    }
    let (section, path) = rest.split_once('.')?;
    let section =
        [Section::Desired, Section::Reported, Section::Delta].into_iter().find(|it| it.as_str() == section)?;
    (!path.is_empty()).then(|| Field::Shadow { name, section, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written_as_it_is_read() {
        for text in [
            "thingName",
            "thingGroupNames",
            "attributes.a.b",
            "shadow.reported.x.y",
            "shadow.hasDelta",
            "shadow.name.$package.reported.hi.version",
            "shadow.name.a:b.hasDelta",
            "connectivity.timestamp",
        ] {
            assert_eq!(text.parse::<Field>().unwrap().to_string(), text);
        }
        for bad in ["", "thingname", "attributes.", "shadow.x", "shadow.metadata.x", "shadow.name.a b.hasDelta", "name"]
        {
            assert!(bad.parse::<Field>().is_err(), "{bad}");
        }
    }
}
