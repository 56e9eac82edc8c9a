//! The end of a connection.

use super::wire_stream::FAREWELL_TIME;
use super::{Connection, End};
use crate::broker::link::Admitted;
use crate::broker::now;
use crate::broker::presence::disconnect_reason;
use crate::broker::wills::Published;
use crate::broker::wire::Answer;
use tokio::time::timeout;

impl Connection {
    pub(super) async fn leave(&mut self, end: End) {
        self.leave_session(end).await;
        if let Some(admitted) = self.link.admitted().cloned() {
            self.tell(&admitted, end).await;
        }
        match end {
            End::Lost => return,
            End::Left { .. } => {}
            End::Told(reason) => drop(self.wire.put(Answer::Disconnect(reason))),
        }
        // What it does not take in this time it does not get.
        let _ = timeout(FAREWELL_TIME, self.wire.close()).await;
    }

    async fn leave_session(&mut self, end: End) {
        let (core, client) = (&self.core, &self.client);
        let (expiry, wants_will) = match end {
            End::Left { with_will, session_expiry } => (session_expiry.map(super::opening::granted), with_will),
            End::Lost | End::Told(_) => (None, true),
        };
        let lasts = match core.sessions.disconnect(client, self.link.number, expiry).await {
            Ok(lasts) => lasts,
            Err(error) => {
                // The server stops.
                tracing::debug!(%error, client = %client.id, "a session's end was not noted");
                core.sessions.abandon(client, self.link.number);
                Some(i64::from(self.session_expiry))
            }
        };
        // Otherwise the client has another connection by now, which saw to the will of this one.
        let Some(lasts) = lasts else { return };
        let Some(will) = self.link.take_will().filter(|_| wants_will) else { return };
        match core.wills.leave(&client.id, will, lasts, now()) {
            Published::Now(will) => core.publish_will(&client.id, will).await,
            Published::Later(waiting) => {
                if let Err(error) = core.store.will_waits(waiting).await {
                    tracing::error!(%error, client = %client.id, "a will that waits does not survive a restart");
                }
            }
        }
    }

    async fn tell(&mut self, admitted: &Admitted, end: End) {
        let reason = disconnect_reason(end);
        tracing::info!(client = %self.client.id, address = %self.link.address, %reason, "an MQTT client disconnected");
        self.core.tell_disconnected(&self.link, admitted, reason).await;
    }
}
