//! The files that systemd-sysusers and systemd-tmpfiles read, checked for slips that would only show on a device,
//! in the middle of an installation.

/// A line that systemd would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// Not text.
    #[error("this line is not UTF-8; save the file as UTF-8")]
    NotText,
    /// No known type.
    #[error("{kind:?} is not a type of line that {manual} knows; begin the line with one such as `{example}`")]
    Type {
        /// The first word.
        kind: String,
        /// Where the types are told.
        manual: &'static str,
        /// A whole line.
        example: &'static str,
    },
    /// No name or path.
    #[error("{what} {second:?}; write a line such as `{example}`")]
    Second {
        /// What is wrong with the second word.
        what: &'static str,
        /// The second word.
        second: String,
        /// A whole line.
        example: &'static str,
    },
}

const USER: &str = "u hi - \"Runs hi\" /var/lib/hi";
const FOLDER: &str = "d /var/lib/hi 0750 hi hi";

/// sysusers.d(5): the first line that is wrong.
pub fn check_sysusers(text: &[u8]) -> Result<(), (usize, ConfError)> {
    each_line(text, |kind, second| {
        let name = kind.trim_end_matches(['!', '-']);
        if !matches!(name, "u" | "g" | "m" | "r") {
            return Err(ConfError::Type { kind: kind.into(), manual: "sysusers.d(5)", example: USER });
        }
        if second.is_empty() {
            return Err(ConfError::Second { what: "there is no name behind", second: kind.into(), example: USER });
        }
        Ok(())
    })
}

/// tmpfiles.d(5): the first line that is wrong.
pub fn check_tmpfiles(text: &[u8]) -> Result<(), (usize, ConfError)> {
    each_line(text, |kind, second| {
        let mut letters = kind.chars();
        let is_type = letters.next().is_some_and(|c| "fFwdDevqQpLcbCxXrRzZtThHaA".contains(c));
        if !is_type || !letters.all(|c| "+!-=~^$?".contains(c)) {
            return Err(ConfError::Type { kind: kind.into(), manual: "tmpfiles.d(5)", example: FOLDER });
        }
        // A path may begin with a specifier such as %t, and stand in quotes.
        if !second.trim_start_matches(['"', '\'']).starts_with(['/', '%']) {
            return Err(ConfError::Second { what: "not an absolute path:", second: second.into(), example: FOLDER });
        }
        Ok(())
    })
}

/// Shows the first two words of each line that says something.
fn each_line(text: &[u8], check: impl Fn(&str, &str) -> Result<(), ConfError>) -> Result<(), (usize, ConfError)> {
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| (number, ConfError::NotText))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (kind, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        check(kind, second).map_err(|problem| (number, problem))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_before_a_device_meets_it() {
        assert_eq!(check_sysusers(b"# users\nu hi - \"Runs hi\"\nm hi dialout\n\n"), Ok(()));
        assert_eq!(check_tmpfiles(b"d /run/hi 0755 hi hi\nL+ %t/x\nr! \"/tmp/a b\"\n"), Ok(()));
        let line = |found: Result<(), (usize, ConfError)>| found.map_err(|(line, error)| format!("{line}: {error}"));
        let error = line(check_sysusers(b"\nuser hi\n")).unwrap_err();
        assert!(error.starts_with("2: \"user\" is not a type"), "{error}");
        assert!(line(check_sysusers(b"u\n")).unwrap_err().starts_with("1: there is no name"));
        assert!(line(check_tmpfiles(b"k /run\n")).unwrap_err().contains("tmpfiles.d(5)"));
        assert!(line(check_tmpfiles(b"d run/hi\n")).unwrap_err().contains("\"run/hi\""));
        assert_eq!(check_tmpfiles(b"\xff"), Err((1, ConfError::NotText)));
    }
}
