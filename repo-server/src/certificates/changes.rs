//! Who is told that a certificate's status changed: whoever keeps connections open that were let in with it.

use super::{Certificates, CertificatesError};
use fleet_protocol::names::CertificateId;
use sqlx::{AnyConnection, Row as _};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// How soon a change that another process made is seen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Changes that a listener may be behind; one further behind is told that it missed some, and looks at everything.
const BACKLOG: usize = 1024;
/// Changes that are read at a time.
const BATCH: i64 = 500;

#[derive(Debug)]
pub(super) struct Changes {
    told: broadcast::Sender<CertificateId>,
    /// This process changed something itself.
    changed_here: Notify,
}

impl Default for Changes {
    fn default() -> Self {
        Self { told: broadcast::Sender::new(BACKLOG), changed_here: Notify::new() }
    }
}

impl Certificates {
    /// From now on, every certificate whose status changed, within two seconds also when another process changed it. To
    /// have missed some (`Lagged`) means that any may have changed.
    pub(crate) fn changes(&self) -> broadcast::Receiver<CertificateId> {
        self.changes.told.subscribe()
    }

    /// Tells the listeners, for ever.
    pub(crate) async fn tell_changes(&self) {
        let mut seen = None;
        loop {
            match self.look(seen).await {
                Ok(newest) => seen = Some(newest),
                Err(error) => tracing::warn!(%error, "could not look which certificates changed; looks again"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = self.changes.changed_here.notified() => {}
            }
        }
    }

    pub(super) fn look_soon(&self) {
        self.changes.changed_here.notify_one();
    }

    /// Tells what came after `seen`, and gives what is seen now.
    async fn look(&self, seen: Option<i64>) -> Result<i64, CertificatesError> {
        let row = sqlx::query("SELECT value FROM certificate_generation").fetch_one(&self.database).await?;
        let newest: i64 = row.try_get(0)?;
        let Some(mut seen) = seen else { return Ok(newest) };
        while seen < newest {
            let rows = sqlx::query(
                "SELECT id, generation FROM certificates WHERE generation > $1 ORDER BY generation LIMIT $2",
            )
            .bind(seen)
            .bind(BATCH)
            .fetch_all(&self.database)
            .await?;
            let last = rows.last().map(|row| row.try_get(1)).transpose()?;
            for row in &rows {
                // Without a listener nobody needs to know.
                let _ = self.changes.told.send(row.try_get::<String, _>(0)?.parse()?);
            }
            match last {
                Some(last) => seen = last,
                // The last change was of a certificate that changed again, or is gone.
                None => return Ok(newest),
            }
        }
        Ok(seen)
    }
}

/// The number of the change that this transaction makes. Others that want one wait for its end.
pub(super) async fn next_generation(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("UPDATE certificate_generation SET value = value + 1 RETURNING value");
    row.fetch_one(connection).await?.try_get(0)
}
