//! Why a request about a shadow is not carried out, in AWS's codes and words ("Device Shadow error messages").

use super::{MOST_LEVELS, PACKAGES, ShadowId};
use crate::names::ShadowName;

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not JSON, or no object.
    #[error("Invalid JSON")]
    InvalidJson,
    /// Bytes that are no UTF-8.
    #[error("Unsupported documented encoding; supported encoding is UTF-8")]
    NotUtf8,
    /// No state.
    #[error("Missing required node: state")]
    NoState,
    /// A state that is neither an object nor null.
    #[error("State node must be an object")]
    StateNotObject,
    /// The same of the desired state.
    #[error("Desired node must be an object")]
    DesiredNotObject,
    /// The same of the reported state.
    #[error("Reported node must be an object")]
    ReportedNotObject,
    /// Something in the state that cannot be there: another section, or a null in an array.
    #[error("State contains an invalid node: '{0}'")]
    InvalidNode(String),
    /// A version that is no whole number.
    #[error("Invalid version")]
    InvalidVersion,
    /// A client token that is no text, or too long.
    #[error("Invalid clientToken")]
    InvalidClientToken,
    /// Too many levels.
    #[error("JSON contains too many levels of nesting; maximum is {MOST_LEVELS}")]
    TooDeep,
    /// A reserved name that has no meaning.
    #[error("Invalid shadow name: '{0}'; of the names that begin with $ there is only {PACKAGES}")]
    ReservedName(ShadowName),
    /// Something in the shadow of the installed packages that is none.
    #[error(
        "State contains an invalid node: '{0}'; a package in {PACKAGES} is an object with a version, which is a text"
    )]
    NoPackage(String),
    /// More named shadows than a thing may have.
    #[error("The thing has {0} named shadows, which is the most; delete one")]
    TooManyShadows(u16),
    /// A person says what only the thing can know.
    #[error("What is reported is for the thing to say; change what is desired only")]
    OfThing,
    /// No such thing.
    #[error("Thing not found")]
    NoThing,
    /// No such shadow.
    #[error("No shadow exists with name: '{}'", full_name(.0))]
    NoShadow(ShadowId),
    /// The shadow's version is another one.
    #[error("Version conflict")]
    VersionConflict,
    /// Too long a request or document.
    #[error("The payload exceeds the maximum size allowed")]
    TooLarge,
    /// Too many changes of one shadow at a time.
    #[error("Too many requests change this shadow at the same time; send it again in a moment")]
    Busy,
    /// The service failed.
    #[error("Internal service failure")]
    Internal,
}

fn full_name(shadow: &ShadowId) -> String {
    match &shadow.name {
        Some(name) => format!("{}~{name}", shadow.thing),
        None => shadow.thing.to_string(),
    }
}

impl Refusal {
    /// What kind of error, as HTTP has it.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::OfThing => 403,
            Self::NoThing | Self::NoShadow(_) => 404,
            Self::VersionConflict => 409,
            Self::TooLarge => 413,
            Self::NotUtf8 => 415,
            Self::Busy => 429,
            Self::Internal => 500,
            Self::InvalidJson
            | Self::NoState
            | Self::StateNotObject
            | Self::DesiredNotObject
            | Self::ReportedNotObject
            | Self::InvalidNode(_)
            | Self::InvalidVersion
            | Self::InvalidClientToken
            | Self::TooDeep
            | Self::ReservedName(_)
            | Self::NoPackage(_)
            | Self::TooManyShadows(_) => 400,
        }
    }
}
