//! `[systemd]`: units, users and folders.

use super::error::line_of;
use crate::systemd::{OnUpgrade, UnitWishes};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSystemd {
    #[serde(default)]
    units: Vec<Spanned<RawUnit>>,
    sysusers: Option<Spanned<String>>,
    tmpfiles: Option<Spanned<String>>,
}

/// A path, or a table that holds one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UnitTable {
    source: String,
    enable: Option<bool>,
    start: Option<bool>,
    on_upgrade: Option<OnUpgrade>,
}

struct RawUnit(UnitTable);

impl<'de> Deserialize<'de> for RawUnit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UnitVisitor;
        impl<'de> Visitor<'de> for UnitVisitor {
            type Value = RawUnit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a unit file's path, or a table such as { source = \"hi.service\", enable = false }")
            }
            fn visit_str<E: Error>(self, source: &str) -> Result<RawUnit, E> {
                Ok(RawUnit(UnitTable { source: source.to_owned(), enable: None, start: None, on_upgrade: None }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawUnit, A::Error> {
                UnitTable::deserialize(MapAccessDeserializer::new(map)).map(RawUnit)
            }
        }
        deserializer.deserialize_any(UnitVisitor)
    }
}

/// A checked `[systemd]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Systemd {
    pub(super) units: Vec<UnitRule>,
    pub(super) sysusers: Option<ConfRule>,
    pub(super) tmpfiles: Option<ConfRule>,
}

/// One unit file and what is wanted of it.
#[derive(Debug, Clone)]
pub(super) struct UnitRule {
    pub(super) line: usize,
    pub(super) source: String,
    pub(super) wishes: UnitWishes,
}

/// One file for systemd-sysusers or systemd-tmpfiles.
#[derive(Debug, Clone)]
pub(super) struct ConfRule {
    pub(super) line: usize,
    pub(super) source: String,
}

pub(super) fn check(raw: RawSystemd, text: &str) -> Systemd {
    let unit = |unit: Spanned<RawUnit>| {
        let line = line_of(text, unit.span().start);
        let RawUnit(UnitTable { source, enable, start, on_upgrade }) = unit.into_inner();
        UnitRule { line, source, wishes: UnitWishes { enable, start, on_upgrade } }
    };
    let conf =
        |source: Spanned<String>| ConfRule { line: line_of(text, source.span().start), source: source.into_inner() };
    Systemd {
        units: raw.units.into_iter().map(unit).collect(),
        sysusers: raw.sysusers.map(conf),
        tmpfiles: raw.tmpfiles.map(conf),
    }
}
