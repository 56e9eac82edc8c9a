//! What a request makes of a shadow. Pure: the shadow before on one side, the shadow after and what is said about it on the
//! other.

use super::attributes::{Attributes, Stamps, merge};
use super::messages::{Accepted, Deleted, Delta, Documents, Snapshot};
use super::request::{Change, TokenRequest, UpdateRequest};
use super::{PACKAGES, Refusal, Shadow, ShadowId};

/// An update that is to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The shadow after it.
    pub after: Shadow,
    /// The answer.
    pub accepted: Accepted,
    /// What devices are told, if anything is left to do.
    pub delta: Option<Delta>,
    /// What whoever watches is told.
    pub documents: Documents,
}

/// Changes a shadow, or makes it.
pub fn update(shadow: &ShadowId, before: &Shadow, request: &UpdateRequest, now: i64) -> Result<Update, Refusal> {
    let is_reserved = shadow.name.as_ref().is_some_and(|name| name.as_str().starts_with('$'));
    let holds_packages = shadow.name.as_ref().is_some_and(|name| name.as_str() == PACKAGES);
    if let (Some(name), true, false) = (&shadow.name, is_reserved, holds_packages) {
        return Err(Refusal::ReservedName(name.clone()));
    }
    if request.version.is_some_and(|version| version != before.version) {
        return Err(Refusal::VersionConflict);
    }
    let mut document = before.document.clone().unwrap_or_default();
    match &request.state {
        None => document = Default::default(),
        Some(patch) => {
            let (state, metadata) = (&mut document.state, &mut document.metadata);
            apply(&patch.desired, &mut state.desired, &mut metadata.desired, now);
            apply(&patch.reported, &mut state.reported, &mut metadata.reported, now);
        }
    }
    document.check_size()?;
    if holds_packages {
        document.check_packages()?;
    }
    let version = before.version + 1;
    let token = request.client_token.as_deref();
    let accepted = Accepted::of_patch(request.state.as_ref(), version, now, token);
    let delta = document.delta(version, now, token);
    let after = Shadow { version, document: Some(document) };
    let documents = Documents {
        previous: snapshot(before),
        current: snapshot(&after),
        timestamp: now,
        client_token: request.client_token.clone(),
    };
    Ok(Update { after, accepted, delta, documents })
}

fn apply(change: &Change, attributes: &mut Attributes, stamps: &mut Stamps, now: i64) {
    match change {
        Change::Untouched => {}
        Change::Removed => {
            attributes.clear();
            stamps.clear();
        }
        Change::Merged(change) => merge(attributes, stamps, change, now),
    }
}

fn snapshot(shadow: &Shadow) -> Snapshot {
    let document = shadow.document.clone().unwrap_or_default();
    Snapshot { state: document.state, metadata: document.metadata, version: shadow.version }
}

/// What a shadow holds.
pub fn get(shadow: &ShadowId, is: &Shadow, request: &TokenRequest, now: i64) -> Result<Accepted, Refusal> {
    let document = is.document.as_ref().ok_or_else(|| Refusal::NoShadow(shadow.clone()))?;
    Ok(Accepted::of_document(document, is.version, now, request.client_token.as_deref()))
}

/// Removes a shadow. Its version stays.
pub fn delete(
    shadow: &ShadowId,
    before: &Shadow,
    request: TokenRequest,
    now: i64,
) -> Result<(Shadow, Deleted), Refusal> {
    if before.document.is_none() {
        return Err(Refusal::NoShadow(shadow.clone()));
    }
    let version = before.version;
    let deleted = Deleted { version, timestamp: now, client_token: request.client_token };
    Ok((Shadow { version, document: None }, deleted))
}

#[cfg(test)]
mod tests;
