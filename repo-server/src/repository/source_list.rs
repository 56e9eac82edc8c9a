//! The ready apt source: one file for /etc/apt/sources.list.d that works alone.

use debian_formats::control::Stanza;
use debian_formats::names::{ComponentName, SuiteName};

/// The text of `<suite>.sources` (sources.list(5), deb822 style), with the key inside. `base` is a checked URL.
pub(super) fn render(base: &str, suite: &SuiteName, components: &[ComponentName], armored_key: &str) -> String {
    let mut stanza = Stanza::new();
    stanza.set("Types", "deb");
    stanza.set("URIs", base);
    stanza.set("Suites", suite.as_str());
    let components: Vec<&str> = components.iter().map(ComponentName::as_str).collect();
    stanza.set("Components", &components.join(" "));
    stanza.set("Signed-By", &format!("\n{armored_key}"));
    let certificate = if base.starts_with("https:") {
        "# If the server shows a certificate of its own fleet CA, install the fleet CA's certificate (fleet-ca.pem in\n\
         # the server's data folder) on the device and name it in apt's option Acquire::https::CAInfo.\n"
    } else {
        ""
    };
    format!("# Save as /etc/apt/sources.list.d/debfleet-{suite}.sources, then: apt update\n{certificate}{stanza}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_of_the_key_become_dots() {
        let text = render(
            "http://h/debian",
            &"stable".parse().unwrap(),
            &[ComponentName::main()],
            "-----BEGIN\n\nabc\n-----END\n",
        );
        assert_eq!(
            text,
            "# Save as /etc/apt/sources.list.d/debfleet-stable.sources, then: apt update\n\
             Types: deb\nURIs: http://h/debian\nSuites: stable\nComponents: main\n\
             Signed-By:\n -----BEGIN\n .\n abc\n -----END\n"
        );
    }
}
