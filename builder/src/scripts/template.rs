//! `#NAME#` marks in a maintainer script.

use crate::nearest::nearest;
use std::collections::BTreeMap;

/// The mark for generated parts, under the name that packagers know.
const PART_MARK: &str = "DEBHELPER";

/// The texts that marks stand for, by the mark's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// Names that no variable may take.
    pub const RESERVED: [&str; 4] = ["PACKAGE", "VERSION", "ARCHITECTURE", PART_MARK];

    /// The package's own three, and variables.
    #[must_use]
    pub fn new(package: &str, version: &str, architecture: &str, variables: &BTreeMap<String, String>) -> Self {
        let mut values = variables.clone();
        for (name, text) in [("PACKAGE", package), ("VERSION", version), ("ARCHITECTURE", architecture)] {
            values.insert(name.to_owned(), text.to_owned());
        }
        Self(values)
    }

    /// Whether a mark can have this name: `[A-Z][A-Z0-9_]*`.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    }
}

/// A script whose marks cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A mark that nothing is known for.
    #[error(
        "`#{name}#` stands for nothing; {}, add {name} to `variables` in [scripts], or, if it is no mark, write a \
         blank behind its first `#`",
        .nearest.as_ref().map_or_else(|| format!("known are {known}"), |near| format!("did you mean `#{near}#`? Else"))
    )]
    Unknown {
        /// As written.
        name: String,
        /// A known one that looks like it.
        nearest: Option<String>,
        /// All known ones.
        known: String,
    },
    /// Generated lines cannot begin in the middle of one.
    #[error("`#DEBHELPER#` must stand alone on its line, because several lines take its place")]
    NotAlone,
    /// Parts would run twice.
    #[error("`#DEBHELPER#` stands in line {first} already; remove one of the two")]
    Twice {
        /// Where it stood first.
        first: usize,
    },
    /// Parts that would get lost.
    #[error("[systemd] gives this script a part, and it has no place for it; write a line `#DEBHELPER#` {place}")]
    NoPlace {
        /// Where it belongs in this script.
        place: &'static str,
    },
    /// Parts are written in shell.
    #[error(
        "[systemd] gives this script a part in POSIX shell, which {interpreter} does not read; write the script for \
         /bin/sh, and call {interpreter} from it"
    )]
    Interpreter {
        /// As on its first line.
        interpreter: String,
    },
    /// Not text.
    #[error("this line is not UTF-8, so marks cannot be found in it; save the script as UTF-8")]
    NotText,
}

/// Where the mark belongs in a script, for those who have yet to write it.
fn place_in(script: &str) -> &'static str {
    match script {
        "postinst" => "at its end, before `exit 0` if there is one, where all that the services need is done",
        "postrm" => "at its end, before `exit 0` if there is one",
        _ => "before what must not happen while the services run",
    }
}

/// The script with everything filled in, or the line of what is wrong and what it is.
pub(super) fn fill(
    script: &[u8],
    name: &str,
    values: &Values,
    part: Option<&str>,
) -> Result<Vec<u8>, (usize, TemplateError)> {
    let mut filled = String::with_capacity(script.len());
    let mut place = None;
    for (number, line) in (1..).zip(script.split_inclusive(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| (number, TemplateError::NotText))?;
        if number == 1
            && part.is_some()
            && let Some(interpreter) = other_than_a_shell(line)
        {
            return Err((number, TemplateError::Interpreter { interpreter }));
        }
        if line.trim().strip_prefix('#').and_then(|line| line.strip_suffix('#')) == Some(PART_MARK) {
            if let Some(first) = place.replace(number) {
                return Err((number, TemplateError::Twice { first }));
            }
            filled.push_str(part.unwrap_or_default());
        } else {
            fill_line(line, values, &mut filled).map_err(|problem| (number, problem))?;
        }
    }
    if part.is_some() && place.is_none() {
        let last = script.split_inclusive(|byte| *byte == b'\n').count();
        return Err((last, TemplateError::NoPlace { place: place_in(name) }));
    }
    Ok(filled.into_bytes())
}

fn fill_line(line: &str, values: &Values, filled: &mut String) -> Result<(), TemplateError> {
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once('#') {
        filled.push_str(before);
        let mark = behind.split_once('#').filter(|(name, _)| Values::is_name(name));
        rest = match mark.map(|(name, after)| (name, values.0.get(name), after)) {
            Some((_, Some(text), after)) => {
                filled.push_str(text);
                after
            }
            Some((PART_MARK, None, _)) => return Err(TemplateError::NotAlone),
            // A single letter between two `#` is more likely shell than a slip.
            Some((name, None, _)) if name.len() > 1 => return Err(unknown(name, values)),
            _ => {
                filled.push('#');
                behind
            }
        };
    }
    filled.push_str(rest);
    Ok(())
}

fn unknown(name: &str, values: &Values) -> TemplateError {
    let known: Vec<&str> = values.0.keys().map(String::as_str).chain([PART_MARK]).collect();
    TemplateError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, &known).map(str::to_owned),
        known: known.iter().map(|name| format!("`#{name}#`")).collect::<Vec<_>>().join(", "),
    }
}

/// The interpreter of a `#!` line if it does not read POSIX shell.
fn other_than_a_shell(line: &str) -> Option<String> {
    let mut words = line.trim_start_matches("#!").split_whitespace();
    let program = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut interpreter = words.next().map(program).unwrap_or_default();
    if interpreter == "env" {
        interpreter = words.find(|word| !word.starts_with('-')).map(program).unwrap_or_default();
    }
    (!["sh", "dash", "bash"].contains(&interpreter.as_str())).then_some(interpreter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(script: &str, part: Option<&str>) -> Result<String, (usize, String)> {
        let variables = BTreeMap::from([("DATA".to_owned(), "/var/lib/hi".to_owned())]);
        let values = Values::new("hi", "1.0~rc.1-1", "all", &variables);
        let filled = fill(script.as_bytes(), "postinst", &values, part);
        filled.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|(line, problem)| (line, problem.to_string()))
    }

    #[test]
    fn marks_become_their_texts() {
        let script = "#!/bin/sh\n# about #PACKAGE##VERSION#\nmkdir -p #DATA#/#ARCHITECTURE# # see ${1##*/}, $#, #X#\n";
        assert_eq!(
            filled(script, None).unwrap(),
            "#!/bin/sh\n# about hi1.0~rc.1-1\nmkdir -p /var/lib/hi/all # see ${1##*/}, $#, #X#\n"
        );
    }

    #[test]
    fn a_text_is_not_searched_for_further_marks() {
        let variables = BTreeMap::from([("A1".to_owned(), "#PACKAGE#".to_owned())]);
        let values = Values::new("hi", "1", "all", &variables);
        assert_eq!(fill(b"#!/bin/sh\n#A1#\n", "prerm", &values, None).unwrap(), b"#!/bin/sh\n#PACKAGE#\n");
    }

    #[test]
    fn parts_stand_where_the_script_wants_them() {
        assert_eq!(
            filled("#!/bin/bash -e\none\n  #DEBHELPER#\nexit 0", Some("two\n")).unwrap(),
            "#!/bin/bash -e\none\ntwo\nexit 0"
        );
        // A script that is ready for parts may get none, whatever it is written in.
        assert_eq!(filled("#!/usr/bin/perl\n#DEBHELPER#\n", None).unwrap(), "#!/usr/bin/perl\n");
    }

    #[test]
    fn what_cannot_be_filled_in_is_named_with_its_line() {
        let cases = [
            ("#!/bin/sh\n\necho #PAKAGE#\n", None, 3, "did you mean `#PACKAGE#`?"),
            ("#!/bin/sh\necho #SOMETHING_ELSE#\n", None, 2, "known are `#ARCHITECTURE#`, `#DATA#`"),
            ("#!/bin/sh\necho; #DEBHELPER#\n", Some("x\n"), 2, "alone on its line"),
            ("#!/bin/sh\n#DEBHELPER#\n#DEBHELPER#\n", None, 3, "line 2 already"),
            ("#!/bin/sh\nexit 0\n", Some("x\n"), 2, "at its end, before `exit 0`"),
            ("#!/usr/bin/env python3\n#DEBHELPER#\n", Some("x\n"), 1, "which python3 does not read"),
        ];
        for (script, part, line, expected) in cases {
            let (found, problem) = filled(script, part).unwrap_err();
            assert!(found == line && problem.contains(expected), "{script:?}: {found}: {problem}");
        }
        let values = Values::new("hi", "1", "all", &BTreeMap::new());
        assert_eq!(fill(b"#!/bin/sh\n# \xff\n", "prerm", &values, None), Err((2, TemplateError::NotText)));
    }
}
