//! What a message is in the columns of a table.

use crate::broker::message::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) fn payload(message: &Message) -> String {
    STANDARD.encode(&message.publish.payload)
}

pub(super) fn properties(message: &Message) -> Result<String, sqlx::Error> {
    json(&message.publish.properties.clone().unwrap_or_default())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
