//! `debfleet user token` and `end-sessions`: a user's way into MQTT, and its end.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::UserName;
use fleet_protocol::people::{Ended, MQTT_TOKEN_SECONDS, MqttToken, user_mqtt_tokens_path, user_sessions_path};
use serde_json::Value;

/// Makes a token with which a browser connects to MQTT as this user, and prints it as a JSON object.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user token anna | jq -r .token\n\n\
                  It holds the token, when it ends, the WebSocket's URL and a client id.")]
pub(crate) struct Token {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    /// So many seconds it counts
    #[arg(long, value_name = "SECONDS", default_value_t = MQTT_TOKEN_SECONDS)]
    lifetime: u32,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn token(Token { user, lifetime, server }: &Token) -> Result<()> {
    let server = server.connect()?;
    let path = format!("{}?lifetimeSeconds={lifetime}", user_mqtt_tokens_path(user));
    let made: MqttToken = server
        .post(&path, &Value::Null)
        .with_context(|| format!("could not make a token for {user} on {}", server.address()))?;
    report::result(&printable(&serde_json::to_string(&made).context("could not write the token as JSON")?))
}

/// Ends a user's sessions and tokens, and their connections within two seconds. They may sign in again.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet user end-sessions anna")]
pub(crate) struct EndSessions {
    /// The user
    #[arg(value_name = "NAME")]
    user: UserName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn end_sessions(EndSessions { user, server }: &EndSessions) -> Result<()> {
    let server = server.connect()?;
    let Ended { ended } = server
        .delete(&user_sessions_path(user))
        .with_context(|| format!("could not end the sessions of {user} on {}", server.address()))?;
    report::result(&format!("{ended} sessions and tokens of {user} were ended"))
}
