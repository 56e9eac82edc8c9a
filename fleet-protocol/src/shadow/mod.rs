//! Device shadows, as AWS IoT's Device Shadow service has them: what a device reported, what is desired of it, and the
//! difference. One part is the classic shadow, which has no name; a thing may have named ones beside it.

mod attributes;
mod document;
mod messages;
mod refusal;
mod request;
mod topic;
mod update;

pub use attributes::{Attributes, Stamp, Stamps};
pub use document::{Document, Sections, Shadow};
pub use messages::{Accepted, Deleted, Delta, Documents, NamedShadows, Rejected, Snapshot};
pub use refusal::Refusal;
pub use request::{Change, StatePatch, TokenRequest, UpdateRequest, client_token};
pub use topic::{NotShadowTopic, Operation, Outcome, ShadowId, ShadowTopic, ShadowTopicKind, named_shadows_path};
pub use update::{Update, delete, get, update};

/// The most bytes of a shadow's desired and reported state together, as compact JSON; metadata does not count.
pub const MOST_STATE_BYTES: usize = 8 << 10;
/// The most bytes of a request: a whole state, written with blanks and a token.
pub const MOST_REQUEST_BYTES: usize = 2 * MOST_STATE_BYTES;
/// The most levels of attributes below `desired` or `reported`.
pub const MOST_LEVELS: usize = 8;
/// What a REST answer with an error carries the kind of error in, such as `ConflictException`.
pub const ERROR_KIND: &str = "x-amzn-errortype";

/// The most bytes of a client token.
pub const MOST_TOKEN_BYTES: usize = 64;

/// The reserved named shadow in which a device reports its installed packages: `{"NAME":{"version":"…"}}`.
pub const PACKAGES: &str = "$package";
