//! People, as the REST API tells of them: users, the things they see, how they sign in, and their way into MQTT.

use crate::access::Role;
use crate::names::{GroupName, ThingName, UserName};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// `GET` lists users.
pub const USERS_PATH: &str = "/api/v1/users";
/// `POST` [`Credentials`] to sign in.
pub const SESSIONS_PATH: &str = "/api/v1/sessions";
/// `GET` tells who is signed in, `DELETE` signs out.
pub const SESSION_PATH: &str = "/api/v1/session";
/// `GET` lists the things that whoever is signed in sees.
pub const SESSION_THINGS_PATH: &str = "/api/v1/session/things";
/// `POST` makes an [`MqttToken`] for whoever is signed in.
pub const SESSION_MQTT_TOKENS_PATH: &str = "/api/v1/session/mqtt-tokens";
/// `PUT` a [`PasswordChange`].
pub const SESSION_PASSWORD_PATH: &str = "/api/v1/session/password";

/// How the secret of a session begins.
pub const SESSION_PREFIX: &str = "dfs_";
/// How a token for MQTT begins.
pub const MQTT_TOKEN_PREFIX: &str = "dfm_";

/// A token for MQTT counts so long at the most, in seconds, and unless less was asked for.
pub const MQTT_TOKEN_SECONDS: u32 = 900;

/// A password has so many characters at the least.
pub const SHORTEST_PASSWORD: usize = 12;
/// And so many at the most.
pub const LONGEST_PASSWORD: usize = 128;
/// So many things are given to a user one by one; for more there are groups.
pub const MOST_THINGS_OF_USER: usize = 500;
/// So many groups are given to a user.
pub const MOST_GROUPS_OF_USER: usize = 100;

/// How the MQTT client ids of all people begin. No thing's name and no certificate's client id does.
pub const CLIENT_IDS_OF_PEOPLE: &str = "$user/";

/// How the MQTT client ids of a person begin.
#[must_use]
pub fn client_id_prefix(user: &UserName) -> String {
    format!("{CLIENT_IDS_OF_PEOPLE}{user}/")
}

/// `GET`, `POST`, `PATCH` and `DELETE` a user.
#[must_use]
pub fn user_path(user: &UserName) -> String {
    format!("{USERS_PATH}/{user}")
}

/// `PUT` a [`NewPassword`].
#[must_use]
pub fn password_path(user: &UserName) -> String {
    format!("{}/password", user_path(user))
}

/// `GET` lists the things that a user sees.
#[must_use]
pub fn user_things_path(user: &UserName) -> String {
    format!("{}/things", user_path(user))
}

/// `PUT` gives a user a thing, `DELETE` takes it away.
#[must_use]
pub fn user_thing_path(user: &UserName, thing: &ThingName) -> String {
    format!("{}/{thing}", user_things_path(user))
}

/// `PUT` gives a user the things of a group, `DELETE` takes them away.
#[must_use]
pub fn user_group_path(user: &UserName, group: &GroupName) -> String {
    format!("{}/thing-groups/{group}", user_path(user))
}

/// `DELETE` ends what a user is signed in with, and their connections.
#[must_use]
pub fn user_sessions_path(user: &UserName) -> String {
    format!("{}/sessions", user_path(user))
}

/// `POST` makes an [`MqttToken`] for a user.
#[must_use]
pub fn user_mqtt_tokens_path(user: &UserName) -> String {
    format!("{}/mqtt-tokens", user_path(user))
}

/// A user to be made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    /// What they are called.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "Anna Berg")
    )]
    pub display_name: String,
    /// What they may do.
    pub role: Role,
    /// What they sign in with; without one they cannot, and tokens are made for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 12, max_length = 128, nullable = false))]
    pub password: Option<String>,
}

/// What shall be otherwise; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    /// What they are called.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", nullable = false))]
    pub display_name: Option<String>,
    /// What they may do.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub role: Option<Role>,
    /// Whether they may sign in. When not, all that they are signed in with ends, and their connections.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub enabled: Option<bool>,
}

/// What is there has a value: null changes nothing, and whoever sends it means something else.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Their name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::UserName))]
    pub user_name: UserName,
    /// What they are called; may be empty.
    #[cfg_attr(feature = "openapi", schema(example = "Anna Berg"))]
    pub display_name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub enabled: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// When they were made.
    pub creation_date: Timestamp,
}

/// A user, and what was given to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserInfo {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The things given to them one by one.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::ThingName>))]
    pub things: Vec<ThingName>,
    /// The groups whose things they see, also those of the groups below.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::GroupName>))]
    pub thing_groups: Vec<GroupName>,
}

/// Users, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    /// By name.
    pub users: Vec<User>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A password to be set. All that the user is signed in with ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPassword {
    /// 12 to 128 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 12, max_length = 128))]
    pub password: String,
}

/// Another password for whoever is signed in. All that they are signed in with ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordChange {
    /// The one that they signed in with.
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub old_password: String,
    /// 12 to 128 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 12, max_length = 128))]
    pub new_password: String,
}

/// Who signs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The user's name.
    #[cfg_attr(feature = "openapi", schema(max_length = 64, example = "anna"))]
    pub user_name: String,
    /// Their password.
    #[cfg_attr(feature = "openapi", schema(max_length = 128))]
    pub password: String,
}

/// What whoever signed in sends from now on. Only this answer holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreatedSession {
    /// To be sent as `Authorization: Bearer`.
    #[cfg_attr(feature = "openapi", schema(example = "dfs_…"))]
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who signed in.
    pub user: User,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// When the session ends.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user: User,
}

/// What opens a connection of MQTT over WebSocket. Only this answer holds the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MqttToken {
    /// The password of MQTT.
    #[cfg_attr(feature = "openapi", schema(example = "dfm_…"))]
    pub token: String,
    /// When it ends, and with it the connection.
    pub expires_at: Timestamp,
    /// Where to connect to.
    #[cfg_attr(feature = "openapi", schema(example = "wss://fleet.example.org:8443/mqtt"))]
    pub url: String,
    /// A client id that nobody else has. Any other that begins with `$user/NAME/` will do.
    #[cfg_attr(feature = "openapi", schema(example = "$user/anna/716d5d10d064114f"))]
    pub client_id: String,
    /// The user name of MQTT, which is for logs only.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::UserName))]
    pub user_name: UserName,
}

/// What was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// So many sessions and tokens.
    pub ended: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_id_of_a_person_can_be_a_things_name_or_below_it() {
        let prefix = client_id_prefix(&"anna@example.org".parse().unwrap());
        let (first, _) = prefix.split_once('/').unwrap();
        assert!(first.parse::<ThingName>().is_err());
        for bad in ["", "a/b", "a+b", "#", "a b", "\u{e9}"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_misspelt_change_is_refused() {
        for bad in [r#"{"enable":false}"#, r#"{"enabled":null}"#, "[null]"] {
            assert!(serde_json::from_str::<UserChange>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<NewUser>(r#"{"role":"root"}"#).is_err());
    }
}
