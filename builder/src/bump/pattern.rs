//! Finding a version in a text, and not within a longer one.

/// Replaces every `old` that is not part of a longer word or number (0.1.0 does not stand in 10.1.0, nor in 0.1.0.5);
/// none if there is none.
pub(super) fn replace_whole(text: &str, old: &str, new: &str) -> Option<String> {
    let in_version = |c: char| c.is_ascii_alphanumeric();
    let mut replaced = String::with_capacity(text.len());
    let mut rest_at = 0;
    for (at, _) in text.match_indices(old) {
        let before = &text[..at];
        let after = &text[at + old.len()..];
        let begins_inside = old.starts_with(in_version)
            && (before.ends_with(in_version)
                || before.strip_suffix('.').is_some_and(|b| b.ends_with(|c: char| c.is_ascii_digit())));
        let ends_inside = old.ends_with(in_version)
            && (after.starts_with(in_version)
                || after.strip_prefix('.').is_some_and(|a| a.starts_with(|c: char| c.is_ascii_digit())));
        // `v0.1.0` is a version behind its usual letter.
        let behind_v = before.strip_suffix(['v', 'V']).is_some_and(|b| !b.ends_with(in_version));
        if ends_inside || (begins_inside && !behind_v) {
            continue;
        }
        replaced.push_str(&text[rest_at..at]);
        replaced.push_str(new);
        rest_at = at + old.len();
    }
    if rest_at == 0 {
        return None;
    }
    replaced.push_str(&text[rest_at..]);
    Some(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_inside_a_longer_one_is_left_alone() {
        let replace = |text: &str| replace_whole(text, "0.1.0", "0.2.0");
        assert_eq!(replace("0.1.0\n").unwrap(), "0.2.0\n");
        assert_eq!(replace("v0.1.0, 10.1.0, 0.1.0.5, 0.1.0.").unwrap(), "v0.2.0, 10.1.0, 0.1.0.5, 0.2.0.");
        assert_eq!(replace("10.1.0 1.0.1.0 0.1.01 0.1.0rc"), None);
    }
}
