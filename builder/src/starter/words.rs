//! Names, descriptions, licences and people, in the form that Debian wants.

use super::Surroundings;
use super::draft::Draft;
use super::error::StarterError;
use debian_formats::PackageName;

/// lintian refuses longer ones.
const MAX_SYNOPSIS: usize = 80;
/// lintian wants lines of the long text below 80 characters.
const LINE_WIDTH: usize = 76;
/// Longer texts are not for a control file.
const MAX_LONG_TEXT: usize = 20_000;

/// The package name nearest to a text (Policy 5.6.1); none if nothing of it can stand.
pub(super) fn package_name(text: &str) -> Option<PackageName> {
    let mut name = String::new();
    for c in text.trim().trim_start_matches('@').chars().take(200) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() || (c == '+' && !name.is_empty()) => name.push(c),
            '.' if !name.is_empty() && !name.ends_with(['-', '.']) => name.push('.'),
            _ if !name.is_empty() && !name.ends_with(['-', '.']) => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_end_matches(['-', '.']);
    let name: String = name.chars().take(100).collect();
    let name = if name.len() == 1 { format!("{name}-app") } else { name };
    name.parse().ok()
}

/// Puts the name into a draft, and says so if it had to change.
pub(super) fn set_name(draft: &mut Draft, key: &str, written: &str) -> Result<(), StarterError> {
    let name = package_name(written).ok_or_else(|| StarterError::Name {
        problem: format!(
            "{}: {key} {:?} has nothing that a package name may hold (Policy 5.6.1)",
            draft.from,
            cut(written)
        ),
        nearest: None,
    })?;
    if name.as_str() != written {
        draft
            .change(key, format!("{:?} is written {name}, as Debian wants package names (Policy 5.6.1)", cut(written)));
    }
    draft.name = name.into();
    Ok(())
}

/// Fills the description: the synopsis (Policy 3.4.1: no article, no full stop, below 80 characters) and the long text.
pub(super) fn describe(draft: &mut Draft, text: Option<&str>, otherwise: &str) {
    let clean: String = text.unwrap_or_default().chars().filter(|c| !c.is_control() || matches!(c, '\n')).collect();
    let clean: String = clean.trim().chars().take(MAX_LONG_TEXT).collect();
    let (first, rest) = clean.split_once('\n').unwrap_or((&clean, ""));
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut long = rest.trim_matches('\n').to_owned();
    let mut synopsis = without_frame(&first, &draft.name);
    if synopsis.chars().count() > MAX_SYNOPSIS {
        long = if long.is_empty() { first } else { format!("{first}\n\n{long}") };
        let sentence = synopsis.split_once(". ").map_or(&*synopsis, |(sentence, _)| sentence);
        synopsis = cut_at_word(sentence, MAX_SYNOPSIS - 4);
    }
    if synopsis.is_empty() {
        synopsis = "software that its maintainer did not describe yet".to_owned();
        draft.change("description", format!("{} has none; say in the manifest what the package is", draft.from));
    }
    if long.trim().is_empty() {
        long = otherwise.to_owned();
    }
    draft.description = (synopsis, wrapped(&long));
}

/// Without `NAME is a` or an article at the beginning, and without the full stop at the end.
fn without_frame(text: &str, name: &str) -> String {
    let mut text = text.trim();
    if let Some(rest) =
        text.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &text[name.len()..])
    {
        let after = [" is ", ": ", " - ", " – ", " — ", ", "].iter().find_map(|frame| rest.strip_prefix(frame));
        text = after.unwrap_or(text);
    }
    for article in ["a ", "an ", "the "] {
        if let Some(rest) = text.get(..article.len()).filter(|start| start.eq_ignore_ascii_case(article)) {
            text = &text[rest.len()..];
            break;
        }
    }
    let text = text.trim();
    text.strip_suffix('.').filter(|rest| !rest.ends_with('.')).unwrap_or(text).to_owned()
}

fn cut_at_word(text: &str, width: usize) -> String {
    let mut cut = String::new();
    for word in text.split_whitespace() {
        if !cut.is_empty() && cut.chars().count() + 1 + word.chars().count() > width {
            break;
        }
        if !cut.is_empty() {
            cut.push(' ');
        }
        cut.extend(word.chars().take(width));
    }
    cut.trim_end_matches([',', ';', ':', '.']).to_owned()
}

/// Paragraphs in lines of bounded width; lines of a list stay lines, which Policy 5.6.13 marks by a space before them.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in text.lines().chain([""]) {
        let is_item = line.starts_with([' ', '\t']) || line.starts_with("- ") || line.starts_with("* ");
        if line.trim().is_empty() || is_item {
            flush(&mut lines, &mut open);
        }
        if is_item {
            let item: String = line.trim_end().replace('\t', " ").chars().take(LINE_WIDTH).collect();
            lines.push(if item.starts_with(' ') { item } else { format!(" {item}") });
        } else if line.trim().is_empty() {
            if lines.last().is_some_and(|last| !last.is_empty()) {
                lines.push(String::new());
            }
        } else {
            open.push(' ');
            open.push_str(line.trim());
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

fn flush(lines: &mut Vec<String>, paragraph: &mut String) {
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > LINE_WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    paragraph.clear();
}

/// A licence as one line; `MIT/Apache-2.0` is how Cargo once said OR.
pub(super) fn license(text: &str) -> Option<String> {
    let text = line(text)?;
    Some(if text.contains(' ') { text } else { text.replace('/', " OR ") })
}

/// A text of one line without control characters; none if nothing is left.
pub(super) fn line(text: &str) -> Option<String> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty() && text.len() <= 500).then_some(text)
}

/// A page on the web; none if it is not one.
pub(super) fn web_page(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("git+").trim_end_matches(".git");
    let text = text.strip_prefix("git://").map_or_else(|| text.to_owned(), |rest| format!("https://{rest}"));
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let sound = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "<>".contains(c));
    sound.then_some(text)
}

/// `Name <mail>` (Policy 5.6.2); none if a text is not of that form.
pub(super) fn person(text: &str) -> Option<String> {
    // npm allows an address of a page behind it.
    let text = text.split_once(" (").map_or(text, |(before, _)| before).trim();
    let (name, mail) = text.strip_suffix('>')?.split_once('<')?;
    let (name, mail) = (name.trim(), mail.trim());
    let sound = !name.is_empty()
        && !text.contains(char::is_control)
        && text.len() <= 200
        && !mail.contains([' ', '<', '>', ','])
        && mail.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    sound.then(|| format!("{name} <{mail}>"))
}

/// Who maintains the package: whom somebody named, else whom the file names, else this machine's user.
pub(super) fn maintainer(surroundings: &Surroundings, authors: &[String], from: &str) -> Result<String, StarterError> {
    if let Some(named) = surroundings.maintainer {
        return person(named).ok_or_else(|| StarterError::Maintainer(cut(named)));
    }
    let known = authors.iter().find_map(|author| person(author)).or_else(|| surroundings.user.and_then(person));
    known.ok_or_else(|| StarterError::NoMaintainer(format!("{from} names nobody with a mail address")))
}

/// A semver from what another tool calls a version; true if it stands there just so.
pub(super) fn semver(text: &str) -> Option<(semver::Version, bool)> {
    if let Ok(version) = text.parse::<semver::Version>() {
        return Some((version, true));
    }
    // Fewer numbers than three, a `v`, or zeros in front, as in 2024.01.
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, tail) = text.split_at(end);
    let mut parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    parts.resize(3, "0");
    let plain = |part: &str| -> Option<u64> { part.parse().ok() };
    let numbers: Option<Vec<String>> = parts.into_iter().map(|part| plain(part).map(|n| n.to_string())).collect();
    let separator = if tail.is_empty() || tail.starts_with(['-', '+']) { "" } else { "-" };
    format!("{}{separator}{tail}", numbers?.join(".")).parse().ok().map(|version| (version, false))
}

/// A name that may stand in a path as one part of it.
pub(super) fn is_file_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
}

/// A stranger's text in a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_nearest_that_policy_allows() {
        let name = |text: &str| package_name(text).map(String::from);
        assert_eq!(name("Foo_Bar").as_deref(), Some("foo-bar"));
        assert_eq!(name("@acme/lamp.ui").as_deref(), Some("acme-lamp.ui"));
        assert_eq!(name("h").as_deref(), Some("h-app"));
        assert_eq!(name("--g++ \n\"x\"").as_deref(), Some("g++-x"));
        assert_eq!(name("lämp").as_deref(), Some("l-mp"));
        assert_eq!(name("../.."), None);
    }

    #[test]
    fn a_description_gets_debians_form() {
        let describe = |text: &str| {
            let mut draft = Draft { name: "hi".into(), ..Draft::default() };
            describe(&mut draft, Some(text), "It has the program hi.");
            draft.description
        };
        assert_eq!(describe("A small greeter."), ("small greeter".into(), "It has the program hi.".into()));
        assert_eq!(describe("hi is the greeter").0, "greeter");
        assert_eq!(describe("Hi: an etc...").0, "etc...");
        let (synopsis, long) = describe(&format!("A {}end. More.", "word ".repeat(30)));
        assert!(synopsis.len() <= 80 && synopsis.starts_with("word word"), "{synopsis}");
        assert!(long.ends_with("More.") && long.lines().all(|line| line.len() < 80), "{long}");
        assert_eq!(describe("x\n\nOne\ntwo.\n- item\n\n\nEnd").1, "One two.\n - item\n\nEnd");
        assert_eq!(describe("a\u{1b}[2J\u{0}b").0, "a[2Jb");
    }

    #[test]
    fn versions_of_fewer_numbers_are_filled_up() {
        let read = |text: &str| semver(text).map(|(version, same)| (version.to_string(), same));
        assert_eq!(read("1.2.3-rc.1"), Some(("1.2.3-rc.1".into(), true)));
        assert_eq!(read("v1.2-beta.1"), Some(("1.2.0-beta.1".into(), false)));
        assert_eq!(read("2024.01"), Some(("2024.1.0".into(), false)));
        assert_eq!(read("1.0rc1"), Some(("1.0.0-rc1".into(), false)));
        for bad in ["", "x", "1.2.3.4", "1..2", "99999999999999999999.0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn people_have_a_mail_address() {
        assert_eq!(person("A B <a@b.org> (https://b.org)").as_deref(), Some("A B <a@b.org>"));
        for bad in ["A B", "<a@b.org>", "A <b>", "A\nB <a@b>", "A <a@b c>"] {
            assert_eq!(person(bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_are_on_the_web() {
        assert_eq!(web_page("git+https://x.org/a.git").as_deref(), Some("https://x.org/a"));
        assert_eq!(web_page("git@x.org:a"), None);
        assert_eq!(web_page("https://x.org\nEvil: 1"), None);
    }
}
