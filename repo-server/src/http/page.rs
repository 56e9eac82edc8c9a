//! Lists are given page by page.

use super::problem::Problem;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// So many at the most.
    limit: Option<u16>,
    /// Behind this one; the last page's `next`.
    after: Option<String>,
}

impl PageQuery {
    /// How many may be on the page, and behind which one it begins.
    pub(super) fn check(self, most: u16) -> Result<(u16, String), Problem> {
        let limit = limit(self.limit, most)?;
        Ok((limit, self.after.map(|after| place("after", after)).transpose()?.unwrap_or_default()))
    }
}

/// How many may be on a page of which no more than `most` are given.
pub(super) fn limit(asked: Option<u16>, most: u16) -> Result<u16, Problem> {
    let bounds: RangeInclusive<u16> = 1..=most;
    match asked {
        None => Ok(most),
        Some(limit) if bounds.contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("limit is {limit}; give one of 1 to {most}"))),
    }
}

/// Where a page begins, as the page before it said.
pub(super) fn place(name: &str, given: String) -> Result<String, Problem> {
    if given.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("{name} holds control characters; give the last page's `next`")));
    }
    Ok(given)
}
