//! Things that come and go, as the broker tells it.

use super::error::RegistryError;
use super::index::{Known, dynamic_groups, refresh};
use super::rows::find_thing;
use super::{GENERATION, Registry, in_transaction};
use fleet_protocol::fleet_query::Field;
use fleet_protocol::names::ThingName;
use jiff::Timestamp;
use sqlx::AnyConnection;

/// A thing came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) thing: ThingName,
    pub(crate) connected: bool,
    pub(crate) at: Timestamp,
    /// Why it went, in AWS's words, such as `CONNECTION_LOST`.
    pub(crate) disconnect_reason: Option<String>,
}

impl Registry {
    /// Notes who came and went, in that order. Names that no thing has are passed over.
    pub(crate) async fn note_presence(&self, all: &[Presence]) -> Result<(), RegistryError> {
        let generation = in_transaction!(self, |transaction| note_all(&mut transaction, all).await)?;
        self.generation.announce(generation);
        Ok(())
    }

    /// Notes that nobody is connected any more, as after a server was killed.
    pub(crate) async fn forget_connections(&self, at: Timestamp) -> Result<(), RegistryError> {
        let names: Vec<String> = sqlx::query_scalar("SELECT thing FROM thing_connectivity WHERE connected = 1")
            .fetch_all(&self.database)
            .await?;
        for some in names.chunks(1_000) {
            let gone = |name: &String| {
                let disconnect_reason = Some("SERVER_INITIATED_DISCONNECT".to_owned());
                Ok(Presence { thing: name.parse()?, connected: false, at, disconnect_reason })
            };
            let gone = some.iter().map(gone).collect::<Result<Vec<_>, RegistryError>>()?;
            self.note_presence(&gone).await?;
        }
        Ok(())
    }
}

async fn note_all(transaction: &mut AnyConnection, all: &[Presence]) -> Result<Option<i64>, RegistryError> {
    let groups = dynamic_groups(transaction).await?;
    let is_connectivity =
        |field: &Field| matches!(field, Field::Connected | Field::ConnectivityTimestamp | Field::DisconnectReason);
    let any_group_asks = groups.iter().any(|(_, query)| query.looks_into(&is_connectivity));
    let mut moved = false;
    for Presence { thing, connected, at, disconnect_reason } in all {
        let noted = sqlx::query(
            "INSERT INTO thing_connectivity (thing, connected, at, disconnect_reason) \
             SELECT t.name, $1, $2, $3 FROM things t WHERE t.name = $4 \
             ON CONFLICT (thing) DO UPDATE SET connected = excluded.connected, at = excluded.at, \
             disconnect_reason = excluded.disconnect_reason",
        )
        .bind(i64::from(*connected))
        .bind(at.as_millisecond())
        .bind(disconnect_reason.as_deref())
        .bind(thing.as_str())
        .execute(&mut *transaction)
        .await?;
        if noted.rows_affected() > 0
            && any_group_asks
            && let Some(thing) = find_thing(transaction, thing).await?
        {
            moved |= refresh(transaction, Known::Thing(&thing)).await?;
        }
    }
    Ok(if moved { Some(GENERATION.raise(transaction).await?) } else { None })
}
