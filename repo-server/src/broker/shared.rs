//! What the library calls the state that connections share: here sessions are kept, and messages find their way.

use super::Core;
use super::store::KeptSession;
use super::topics;
use anyhow::anyhow;
use async_trait::async_trait;
use rmqtt::codec::v5::DisconnectReasonCode;
use rmqtt::session::{OfflineInfo, Session};
use rmqtt::shared::{DefaultShared, Entry, RetainLoadCallback, Shared};
use rmqtt::types::{
    ConnectInfo, ForwardedCount, ForwardedRecipients, From, Id, IsAdmin, MsgID, NodeId, OfflineSession, Publish,
    Reason, SessionStatus, SubRelations, SubRelationsMap, SubsSearchParams, SubsSearchResult, Subscribe,
    SubscribeReturn, To, TopicFilter, Tx, Unsubscribe,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// The library's own, with our keeping and delivering.
pub(super) struct Kept {
    inner: DefaultShared,
    core: Arc<Core>,
}

impl Kept {
    pub(super) fn new(inner: DefaultShared, core: Arc<Core>) -> Self {
        Self { inner, core }
    }
}

type Undelivered = Vec<(To, From, Publish, Reason)>;

#[async_trait]
impl Shared for Kept {
    fn entry(&self, id: Id) -> Box<dyn Entry> {
        Box::new(Seat { inner: self.inner.entry(id), core: self.core.clone() })
    }

    fn exist(&self, client_id: &str) -> bool {
        self.inner.exist(client_id)
    }

    async fn forwards(
        &self,
        _: Option<MsgID>,
        from: From,
        publish: Publish,
    ) -> Result<ForwardedCount, (ForwardedCount, Undelivered)> {
        // What a client says on a reserved topic is for the server alone, which has heard it.
        if topics::is_reserved(&publish.topic) {
            return Ok(0);
        }
        let subscribers = self.core.index.subscribers(&publish.topic, Some(&from.id));
        // What a client published was put on the disk before; a will was not.
        if let Err(error) = self.core.sessions.keep(&publish, &subscribers).await {
            tracing::error!(%error, topic = %publish.topic, "a message reaches only the clients that are connected");
        }
        Ok(self.core.sessions.deliver(&from, &publish, &subscribers))
    }

    async fn forwards_and_get_shareds(
        &self,
        from: From,
        publish: Publish,
    ) -> Result<(SubRelationsMap, ForwardedRecipients), (ForwardedRecipients, Undelivered)> {
        self.inner.forwards_and_get_shareds(from, publish).await
    }

    async fn forwards_to(
        &self,
        from: From,
        publish: &Publish,
        relations: SubRelations,
        message: Option<MsgID>,
    ) -> Result<ForwardedRecipients, (ForwardedRecipients, Undelivered)> {
        self.inner.forwards_to(from, publish, relations, message).await
    }

    fn iter(&self) -> Box<dyn Iterator<Item = Box<dyn Entry>> + Sync + Send + '_> {
        self.inner.iter()
    }

    fn random_session(&self) -> Option<Session> {
        self.inner.random_session()
    }

    async fn session_status(&self, client_id: &str) -> Option<SessionStatus> {
        self.inner.session_status(client_id).await
    }

    async fn client_states_count(&self) -> usize {
        self.inner.client_states_count().await
    }

    fn sessions_count(&self) -> usize {
        self.inner.sessions_count()
    }

    async fn query_subscriptions(&self, query: &SubsSearchParams) -> Vec<SubsSearchResult> {
        self.inner.query_subscriptions(query).await
    }

    async fn subscriptions_count(&self) -> usize {
        self.inner.subscriptions_count().await
    }

    async fn retain_load_with(
        &self,
        topic_filter: &TopicFilter,
        callback: Arc<dyn RetainLoadCallback>,
    ) -> rmqtt::Result<Vec<(NodeId, MsgID)>> {
        self.inner.retain_load_with(topic_filter, callback).await
    }
}

/// One client's seat.
struct Seat {
    inner: Box<dyn Entry>,
    core: Arc<Core>,
}

#[async_trait]
impl Entry for Seat {
    async fn try_lock(&self) -> rmqtt::Result<Box<dyn Entry>> {
        Ok(Box::new(Self { inner: self.inner.try_lock().await?, core: self.core.clone() }))
    }

    fn id(&self) -> Id {
        self.inner.id()
    }

    fn id_same(&self) -> Option<bool> {
        self.inner.id_same()
    }

    /// A client has connected; it is told so when this returns.
    async fn set(&mut self, session: Session, tx: Tx) -> rmqtt::Result<()> {
        let id = session.id.clone();
        let link = id.remote_addr.and_then(|inner| self.core.links.get(inner));
        let link = link.ok_or_else(|| anyhow!("the connection has ended"))?;
        let expiry = session.fitter.session_expiry_interval(None);
        let lasts = match &*session.connect_info().await? {
            ConnectInfo::V3(_, connect) => !connect.clean_session,
            ConnectInfo::V5(..) => !expiry.is_zero(),
        };
        let keep = lasts.then(|| KeptSession {
            client: id.client_id.clone(),
            owner: link.identity.owner(&id.client_id),
            expiry: i64::try_from(expiry.as_secs()).unwrap_or(i64::MAX),
            disconnected_at: None,
        });
        self.core.sessions.connect(id, tx.clone(), Some(link), keep).await?;
        self.inner.set(session, tx).await
    }

    async fn remove(&mut self) -> rmqtt::Result<Option<(Session, Tx)>> {
        let removed = self.inner.remove().await?;
        self.core.sessions.forget(&self.inner.id().client_id).await?;
        Ok(removed)
    }

    async fn remove_with(&mut self, id: &Id) -> rmqtt::Result<Option<(Session, Tx)>> {
        let removed = self.inner.remove_with(id).await?;
        if removed.is_some() {
            self.core.sessions.forget(&id.client_id).await?;
        }
        Ok(removed)
    }

    /// A client connects whose id may be in use: whoever has it is disconnected, and what its session has is handed on,
    /// if it belongs to the same client and that wants it.
    async fn kick(&mut self, clean: bool, clear: bool, is_admin: IsAdmin) -> rmqtt::Result<OfflineSession> {
        let id = self.inner.id();
        let client = &id.client_id;
        if let Some(link) = self.core.sessions.link(client) {
            link.explain(DisconnectReasonCode::SessionTakenOver);
        }
        let link = id.remote_addr.and_then(|inner| self.core.links.get(inner));
        let owner = link.map(|link| link.identity.owner(client)).unwrap_or_default();
        let sessions = &self.core.sessions;
        if clean || !sessions.is_kept(client) || sessions.is_anothers(client, &owner) {
            let kicked = self.inner.kick(true, true, is_admin).await?;
            sessions.forget(client).await?;
            return Ok(kicked);
        }
        // Messages are read from the disk, in their order, when the client takes its seat.
        let (subscriptions, created_at) = match self.inner.kick(false, clear, is_admin).await? {
            OfflineSession::Exist(Some(info)) => {
                sessions.remember_sent(client, &info.inflight_messages);
                (info.subscriptions, info.created_at)
            }
            OfflineSession::Exist(None) => return Ok(OfflineSession::Exist(None)),
            OfflineSession::NotExist => (sessions.take_restored(client).unwrap_or_default(), super::now()),
        };
        let (offline_messages, inflight_messages) = (VecDeque::new(), Vec::new());
        let info = OfflineInfo { id: id.clone(), subscriptions, offline_messages, inflight_messages, created_at };
        Ok(OfflineSession::Exist(Some(info)))
    }

    async fn online(&self) -> bool {
        self.inner.online().await
    }

    async fn is_connected(&self) -> bool {
        self.inner.is_connected().await
    }

    fn session(&self) -> Option<Session> {
        self.inner.session()
    }

    fn exist(&self) -> bool {
        self.inner.exist()
    }

    fn tx(&self) -> Option<Tx> {
        self.inner.tx()
    }

    /// A kept session's subscription is on the disk before it is acknowledged.
    async fn subscribe(&self, subscribe: &Subscribe) -> rmqtt::Result<SubscribeReturn> {
        let client = &self.inner.id().client_id;
        self.core.sessions.subscribed(client, &subscribe.topic_filter, &subscribe.opts).await?;
        self.inner.subscribe(subscribe).await
    }

    async fn unsubscribe(&self, unsubscribe: &Unsubscribe) -> rmqtt::Result<bool> {
        let was_there = self.inner.unsubscribe(unsubscribe).await?;
        let client = &self.inner.id().client_id;
        self.core.sessions.unsubscribed(client, &unsubscribe.topic_filter).await?;
        Ok(was_there)
    }

    /// Retained messages come this way.
    async fn publish(&self, from: From, publish: Publish) -> Result<(), (From, Publish, Reason)> {
        let id = self.inner.id();
        let sent = self.core.send_to(&id.client_id, &publish).await;
        sent.map_err(|error| (from, publish, Reason::Error(error.to_string().into())))
    }

    async fn subscriptions(&self) -> Option<Vec<SubsSearchResult>> {
        self.inner.subscriptions().await
    }
}
