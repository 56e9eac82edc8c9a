//! What a message is in the columns of a table.

use crate::broker::wire::Publish;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) fn payload(publish: &Publish) -> String {
    STANDARD.encode(&publish.payload)
}

pub(super) fn properties(publish: &Publish) -> Result<String, sqlx::Error> {
    json(&publish.properties.clone().unwrap_or_default())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
