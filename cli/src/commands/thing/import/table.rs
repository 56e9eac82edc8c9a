//! The file of an import: which things its lines are.

use anyhow::{Context, Result, bail};
use csv::{ReaderBuilder, StringRecord, Trim};
use fleet_protocol::names::{GroupName, ThingName};
use fleet_protocol::things::{Attributes, Registration};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// A line that can be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Of the file, from 1.
    pub(super) number: u64,
    pub(super) thing: Registration,
    /// How long it will be in a request, about.
    pub(super) bytes: usize,
}

/// A line that was not registered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) line: u64,
    pub(super) reason: String,
}

impl Refused {
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({ "line": self.line, "reason": self.reason })
    }
}

/// What a column holds.
enum Column {
    Name,
    Type,
    Groups,
    Attribute(String),
}

/// The things of a file, and the lines that are none.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Line>, Vec<Refused>)> {
    // Spreadsheets write a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(bytes);
    let columns = columns(reader.headers().context("its first line cannot be read")?)?;
    let (mut lines, mut refused, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    let mut record = StringRecord::new();
    loop {
        let begin = line_of(reader.position(), bytes);
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                let line = error.position().map_or(begin, |position| line_of(position, bytes));
                refused.push(Refused { line, reason: "it is no UTF-8 text".to_owned() });
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let number = record.position().map_or(begin, |position| line_of(position, bytes));
        let outcome =
            thing_of(&record, &columns).and_then(|thing| match seen.insert(thing.thing_name.clone(), number) {
                Some(first) => Err(format!("the thing {} stands in line {first}, too", thing.thing_name)),
                None => Ok(thing),
            });
        match outcome {
            Ok(thing) => lines.push(Line { number, thing, bytes: record.as_slice().len() + 100 + 30 * columns.len() }),
            Err(reason) => refused.push(Refused { line: number, reason }),
        }
    }
    if lines.is_empty() && refused.is_empty() {
        bail!("it has no line behind the first, which names the columns");
    }
    Ok((lines, refused))
}

/// The line that a record stands in: its position is that of the empty lines before it.
fn line_of(position: &csv::Position, bytes: &[u8]) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| b"\r\n".contains(byte)).filter(|byte| **byte == b'\n').count();
    position.line() + empty as u64
}

fn columns(headers: &StringRecord) -> Result<Vec<Column>> {
    let columns: Vec<Column> = headers
        .iter()
        .map(|header| match header {
            "thingName" => Ok(Column::Name),
            "thingTypeName" => Ok(Column::Type),
            "thingGroupNames" => Ok(Column::Groups),
            other => match other.strip_prefix("attributes.") {
                Some(name) if !name.is_empty() => Ok(Column::Attribute(name.to_owned())),
                _ => bail!(
                    "its first line names a column {other:?}; there are thingName, thingTypeName, thingGroupNames and \
                     attributes.NAME"
                ),
            },
        })
        .collect::<Result<_>>()?;
    for (position, header) in headers.iter().enumerate() {
        if headers.iter().take(position).any(|other| other == header) {
            bail!("its first line names the column {header} twice");
        }
    }
    if !columns.iter().any(|column| matches!(column, Column::Name)) {
        bail!("its first line names no column thingName");
    }
    Ok(columns)
}

fn thing_of(record: &StringRecord, columns: &[Column]) -> Result<Registration, String> {
    if record.len() != columns.len() {
        return Err(format!("it has {} fields where the first line names {}", record.len(), columns.len()));
    }
    let (mut name, mut thing_type_name, mut groups, mut attributes) = ("", None, Vec::new(), BTreeMap::new());
    for (column, field) in columns.iter().zip(record) {
        match column {
            Column::Name => name = field,
            _ if field.is_empty() => {}
            Column::Type => thing_type_name = Some(field.parse().map_err(said)?),
            Column::Groups => {
                for group in field.split_whitespace() {
                    groups.push(group.parse::<GroupName>().map_err(said)?);
                }
            }
            Column::Attribute(name) => {
                attributes.insert(name.clone(), field.to_owned());
            }
        }
    }
    let thing_name: ThingName = name.parse().map_err(said)?;
    let attributes: Attributes = attributes.try_into().map_err(said)?;
    Ok(Registration { thing_name, thing_type_name, attributes, thing_group_names: groups })
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_line_is_told_with_its_number() {
        let file = "\u{feff}thingName,thingTypeName,thingGroupNames,attributes.room\n\
                    lamp-1,lamp,a b,attic\n\
                    \n\
                    lamp 2,,,\n\
                    lamp-3,,\n\
                    lamp-1,,,\n\
                    \"lamp-4\",, ,\"\"\n\
                    lamp-5,,,left of\n";
        let mut bytes = file.as_bytes().to_vec();
        bytes.extend(b"lamp-6,,,\xff\nlamp-7,,,x\n");
        let (lines, refused) = read(&bytes).unwrap();
        let told: Vec<(u64, String)> = lines.iter().map(|it| (it.number, it.thing.thing_name.to_string())).collect();
        assert_eq!(told, [(2, "lamp-1".to_owned()), (7, "lamp-4".to_owned()), (10, "lamp-7".to_owned())]);
        assert_eq!(lines[0].thing.thing_group_names.len(), 2);
        assert!(lines[1].thing.attributes.as_map().is_empty());
        let words = [(4, "thing name"), (5, "3 fields"), (6, "line 2"), (8, "room"), (9, "UTF-8")];
        assert_eq!(refused.len(), words.len(), "{refused:?}");
        for (refused, (line, word)) in refused.iter().zip(words) {
            assert!(refused.line == line && refused.reason.contains(word), "{refused:?}");
        }
    }

    #[test]
    fn lines_that_end_as_on_windows_are_counted_alike() {
        let (_, refused) = read(b"thingName\r\nlamp-1\r\n\r\n\r\nlamp 2\r\nlamp 3\r\n").unwrap();
        assert_eq!(refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn a_file_of_something_else_is_refused_as_a_whole() {
        for (file, word) in [
            ("", "no column thingName"),
            ("thingName\n", "no line"),
            ("name\nlamp\n", "column \"name\""),
            ("thingName,thingName\nlamp,lamp\n", "twice"),
            ("thingName,attributes.\nlamp,x\n", "attributes."),
        ] {
            let error = read(file.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{file:?}: {error}");
        }
    }
}
