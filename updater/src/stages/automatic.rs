//! apt's list of packages that came only because others need them: a pure change of its text.

use debian_formats::{Architecture, PackageName};

/// Marks packages as automatically installed, or as asked for; each with its architecture, the machine's own for
/// `all`. Gives nothing if the text says so already.
pub(crate) fn marked(
    text: &str,
    automatic: &[(PackageName, Architecture)],
    asked: &[(PackageName, Architecture)],
) -> Option<String> {
    let stanzas: Vec<&str> = text.split("\n\n").map(str::trim).filter(|stanza| !stanza.is_empty()).collect();
    let is_about = |stanza: &str, (name, architecture): &(PackageName, Architecture)| {
        let has = |line: String| stanza.lines().any(|found| found.trim_end() == line);
        has(format!("Package: {name}")) && has(format!("Architecture: {architecture}"))
    };
    let is_automatic = |stanza: &str| stanza.lines().any(|line| line.trim_end() == "Auto-Installed: 1");
    let kept = |stanza: &&&str| !asked.iter().chain(automatic).any(|package| is_about(stanza, package));
    let mut changed: Vec<String> = stanzas.iter().filter(kept).map(|stanza| (*stanza).to_owned()).collect();
    changed.extend(
        automatic
            .iter()
            .map(|(name, architecture)| format!("Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1")),
    );
    let was_automatic = |package| stanzas.iter().any(|stanza| is_about(stanza, package) && is_automatic(stanza));
    let is_same = automatic.iter().all(was_automatic) && !asked.iter().any(was_automatic);
    (!is_same).then(|| changed.join("\n\n") + "\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written() {
        let of = |name: &str| (name.parse::<PackageName>().unwrap(), "amd64".parse::<Architecture>().unwrap());
        let text = "Package: hi\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: libx\nArchitecture: amd64\nAuto-Installed: 1\n\n";
        assert_eq!(
            marked(text, &[of("liby")], &[of("hi")]).unwrap(),
            "Package: libx\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: liby\nArchitecture: amd64\nAuto-Installed: 1\n\n"
        );
        assert_eq!(marked(text, &[of("libx")], &[]), None);
        assert_eq!(marked("", &[], &[of("hi")]), None);
    }
}
