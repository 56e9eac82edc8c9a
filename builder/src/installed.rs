//! In which versions packages are installed here: the one place that asks dpkg's database.

use debian_formats::buildinfo::Installed;
use debian_formats::{Architecture, PackageName, Version};
use std::process::{Command, Stdio};

/// Of each package the state, name, architecture and version (dpkg-query(1)).
const FORMAT: &str = "${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n";

/// The installed ones among these, of the machine's own architecture or of the one that was built for.
pub(crate) fn versions(names: &[String], own: &Architecture, target: &Architecture) -> Vec<Installed> {
    if names.is_empty() {
        return Vec::new();
    }
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat", FORMAT, "--"])
        .args(names)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        // Of a virtual package it says that there is none.
        .stderr(Stdio::null())
        .output();
    query.map_or_else(|_| Vec::new(), |output| parse(&String::from_utf8_lossy(&output.stdout), own, target))
}

fn parse(answer: &str, own: &Architecture, target: &Architecture) -> Vec<Installed> {
    let mut found: Vec<Installed> = answer.lines().filter_map(|line| parse_line(line, own, target)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn parse_line(line: &str, own: &Architecture, target: &Architecture) -> Option<Installed> {
    let mut words = line.split('\t');
    let (state, name, architecture) = (words.next()?, words.next()?, words.next()?.parse::<Architecture>().ok()?);
    // "ii " and "hi ": installed, whether it is held or not.
    let is_installed = state.get(1..2) == Some("i");
    let is_native = architecture.is_all() || architecture == *own;
    let (name, version): (PackageName, Version) = (name.parse().ok()?, words.next()?.parse().ok()?);
    let wanted = is_installed && (is_native || architecture == *target);
    wanted.then(|| Installed { name, foreign: (!is_native).then_some(architecture), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_for_one_of_the_two_counts() {
        let answer = "ii \tlibc6\tamd64\t2.36-9\nii \tlibc6\tarm64\t2.36-9\nii \tlibc6\tarmhf\t2.36-9\n\
                      hi \tdpkg-dev\tall\t1.21.22\nrc \tlibold\tamd64\t1\nun \tvirtual\t\t\n";
        let (own, target) = ("amd64".parse().unwrap(), "arm64".parse().unwrap());
        let told: Vec<String> = parse(answer, &own, &target).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["dpkg-dev (= 1.21.22)", "libc6 (= 2.36-9)", "libc6:arm64 (= 2.36-9)"]);
    }
}
