//! `[scripts]`: what dpkg runs.

use super::error::line_of;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScripts {
    preinst: Option<Spanned<String>>,
    postinst: Option<Spanned<String>>,
    prerm: Option<Spanned<String>>,
    postrm: Option<Spanned<String>>,
}

/// One of `[scripts]`.
#[derive(Debug, Clone)]
pub(super) struct ScriptRule {
    pub(super) line: usize,
    pub(super) name: &'static str,
    pub(super) source: String,
}

pub(super) fn check(raw: RawScripts, text: &str) -> Vec<ScriptRule> {
    let named = [("preinst", raw.preinst), ("postinst", raw.postinst), ("prerm", raw.prerm), ("postrm", raw.postrm)];
    let rule = |(name, source): (&'static str, Option<Spanned<String>>)| {
        source.map(|source| ScriptRule { line: line_of(text, source.span().start), name, source: source.into_inner() })
    };
    named.into_iter().filter_map(rule).collect()
}
