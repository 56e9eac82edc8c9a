//! Control stanzas (deb822) and the control file of a binary package (Policy 5.1, 5.3).
//!
//! Values keep every byte of their continuation lines: the indentation of a Description is its markup.

use crate::limits::Limits;
use crate::names::{Architecture, NameError, PackageName};
use crate::relation::{self, RelationError};
use crate::version::{Version, VersionError};
use std::fmt;
use std::str::FromStr;

/// One stanza: fields in order, names compared without case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stanza {
    fields: Vec<(String, String)>,
}

/// A text that is no control stanza, with the line where it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct StanzaError {
    line: usize,
    problem: String,
}

/// A control file that misses what Policy 5.3 demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The text is not made of fields.
    #[error("control file, {0}")]
    Syntax(#[from] StanzaError),
    /// Not exactly one stanza.
    #[error("control file: expected one stanza, found {0}")]
    StanzaCount(usize),
    /// A mandatory field is absent or empty.
    #[error("control file: the field {0} is missing; Policy 5.3 demands it")]
    Missing(&'static str),
    /// A name that Policy forbids.
    #[error("control file: {0}")]
    Name(#[from] NameError),
    /// A version that Policy forbids.
    #[error("control file: {0}")]
    Version(#[from] VersionError),
    /// A relation that dpkg and apt cannot read.
    #[error("control file: {field}: {cause}")]
    Relation {
        /// Such as Depends.
        field: &'static str,
        /// What is wrong.
        cause: RelationError,
    },
    /// Longer than apt reads.
    #[error("control file: it is longer than {0} bytes; apt would refuse the whole index that it stands in")]
    TooLong(u64),
    /// A field that only an index or dpkg's own database may carry.
    #[error("control file: the field {0} belongs to a repository's index or to dpkg's database, not to a package")]
    IndexField(String),
}

impl Stanza {
    /// An empty stanza.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field's value; its lines are joined by newlines, each continuation line with its own indentation after
    /// the first blank.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Sets a field, replacing one of the same name. The value's later lines become continuation lines, a blank
    /// one becomes ` .`, so no value can begin another field or end the stanza.
    pub fn set(&mut self, name: &str, value: &str) {
        let value = value.trim_end().replace('\r', "");
        match self.fields.iter_mut().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All stanzas of a text, in order.
    pub fn parse_all(text: &str) -> Result<Vec<Stanza>, StanzaError> {
        let mut stanzas = Vec::new();
        let mut current = Stanza::new();
        for (number, line) in text.split('\n').enumerate() {
            let fail = |problem: &str| StanzaError { line: number + 1, problem: problem.to_owned() };
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.contains(['\0', '\r']) {
                return Err(fail("a control character stands in the text"));
            }
            if line.trim_matches(BLANKS).is_empty() {
                if !current.fields.is_empty() {
                    stanzas.push(std::mem::take(&mut current));
                }
            } else if line.starts_with('#') {
            } else if let Some(continuation) = line.strip_prefix([' ', '\t']) {
                let (_, value) =
                    current.fields.last_mut().ok_or_else(|| fail("a continuation line stands before any field"))?;
                value.push('\n');
                value.push_str(continuation.trim_end_matches(BLANKS));
            } else {
                let (name, value) = line.split_once(':').ok_or_else(|| fail("expected `Field: value`"))?;
                if !is_field_name(name) {
                    return Err(fail(&format!("{:?} is not a field name", name.chars().take(60).collect::<String>())));
                }
                if current.fields.len() == MOST_FIELDS {
                    return Err(fail("the stanza has too many fields"));
                }
                if current.get(name).is_some() {
                    return Err(fail(&format!("the field {name} stands twice in one stanza")));
                }
                current.fields.push((name.to_owned(), value.trim_matches(BLANKS).to_owned()));
            }
        }
        if !current.fields.is_empty() {
            stanzas.push(current);
        }
        Ok(stanzas)
    }
}

/// Looking for one that stands twice must not take long.
const MOST_FIELDS: usize = 1000;

/// What deb822 calls blank. Other characters of Unicode that look so are part of a value.
const BLANKS: [char; 2] = [' ', '\t'];

/// Policy 5.1: printable ASCII but colon, not beginning with `#` or `-`.
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

impl fmt::Display for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.fields {
            let mut lines = value.split('\n');
            let first = lines.next().unwrap_or_default();
            if first.is_empty() {
                writeln!(f, "{name}:")?;
            } else {
                writeln!(f, "{name}: {first}")?;
            }
            for line in lines {
                writeln!(f, " {}", if line.trim_matches(BLANKS).is_empty() { "." } else { line })?;
            }
        }
        Ok(())
    }
}

/// The control file of a binary package, its mandatory fields checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    stanza: Stanza,
    package: PackageName,
    version: Version,
    architecture: Architecture,
}

/// Fields that an index adds to a stanza, under their names of all times, and those that dpkg adds to its database;
/// inside a package they could lie about another file, or about what is installed.
const FOREIGN_FIELDS: [&str; 10] = [
    "Filename",
    "MSDOS-Filename",
    "Size",
    "MD5sum",
    "SHA1",
    "SHA256",
    "SHA512",
    "Status",
    "Conffiles",
    "Config-Version",
];

impl Control {
    /// Checks a stanza against Policy 5.3.
    pub fn from_stanza(stanza: Stanza) -> Result<Self, ControlError> {
        let required = |name: &'static str| {
            stanza.get(name).filter(|value| !value.trim().is_empty()).ok_or(ControlError::Missing(name))
        };
        let package = required("Package")?.parse()?;
        let version = required("Version")?.parse()?;
        let architecture = required("Architecture")?.parse()?;
        required("Maintainer")?;
        required("Description")?;
        if let Some(field) = FOREIGN_FIELDS.iter().find(|field| stanza.get(field).is_some()) {
            return Err(ControlError::IndexField((*field).to_owned()));
        }
        for field in relation::FIELDS {
            // An empty field says nothing, and dpkg passes over it.
            let Some(text) = stanza.get(field).filter(|text| !text.is_empty()) else { continue };
            relation::check_field(text).map_err(|cause| ControlError::Relation { field, cause })?;
        }
        let length: usize = stanza.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        let limit = Limits::DEFAULT.control_bytes;
        if length as u64 > limit {
            return Err(ControlError::TooLong(limit));
        }
        Ok(Self { stanza, package, version, architecture })
    }

    /// `Package`.
    #[must_use]
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// `Version`.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// `Architecture`.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// All fields.
    #[must_use]
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }

    /// The source package: the first word of `Source`, else `Package` (Policy 5.6.1).
    #[must_use]
    pub fn source(&self) -> &str {
        self.stanza.get("Source").and_then(|s| s.split_whitespace().next()).unwrap_or(self.package.as_str())
    }

    /// `<package>_<version>_<architecture>.deb`, the version without its epoch.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.package, self.version.without_epoch(), self.architecture)
    }
}

impl FromStr for Control {
    type Err = ControlError;

    fn from_str(text: &str) -> Result<Self, ControlError> {
        let mut stanzas = Stanza::parse_all(text)?;
        match (stanzas.pop(), stanzas.len()) {
            (Some(stanza), 0) => Control::from_stanza(stanza),
            (last, rest) => Err(ControlError::StanzaCount(rest + usize::from(last.is_some()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HI: &str = "Package: hi\nVersion: 1:0.1.0-1\nArchitecture: all\nMaintainer: A <a@b.c>\n\
                      Description: says hi\n Long text.\n .\n   verbatim line\n";

    #[test]
    fn a_stanza_is_written_as_it_was_read() {
        assert_eq!(Control::from_str(HI).unwrap().stanza().to_string(), HI);
    }

    #[test]
    fn the_epoch_stays_out_of_the_file_name() {
        assert_eq!(Control::from_str(HI).unwrap().file_name(), "hi_0.1.0-1_all.deb");
    }

    #[test]
    fn missing_duplicate_and_foreign_fields_are_named() {
        let error = |text: &str| Control::from_str(text).unwrap_err().to_string();
        assert!(error(&HI.replace("Version: 1:0.1.0-1\n", "")).contains("Version"));
        assert!(error(&format!("{HI}package: ho\n")).contains("line 9"));
        assert!(error(&format!("{HI}Filename: ../../etc/passwd\n")).contains("Filename"));
        assert!(error(&format!("{HI}\n{HI}")).contains("found 2"));
        assert!(error(" lost\n").contains("line 1"));
        let many: String = (0..1000).map(|number| format!("X{number}: y\n")).collect();
        assert!(error(&format!("{HI}{many}")).contains("too many fields"));
    }

    #[test]
    fn what_apt_could_not_read_is_refused() {
        let error = |fields: &str| Control::from_str(&format!("{HI}{fields}")).unwrap_err().to_string();
        for field in relation::FIELDS {
            assert!(error(&format!("{field}: ho, (>= 1)\n")).contains(field), "{field}");
        }
        assert!(error("Status: install ok installed\n").contains("Status"));
        assert!(error(&format!("X-Long: {}\n", "a".repeat(1 << 20))).contains("longer than"));
        assert!(Control::from_str(&format!("{HI}Depends:\nProvides: ho (= 1), hu\n")).is_ok());
        let no_break_space = HI.replace("Package: hi", "Package: hi\u{a0}");
        assert!(Control::from_str(&no_break_space).is_err(), "a no-break space is no blank to dpkg");
    }

    #[test]
    fn no_value_can_begin_another_field() {
        let mut stanza = Stanza::new();
        stanza.set("Description", "short\n\nEvil: yes");
        assert_eq!(stanza.to_string(), "Description: short\n .\n Evil: yes\n");
    }
}
