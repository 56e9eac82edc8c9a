//! The line to the broker: connects, waits and connects again, and tells what comes.

use crate::broker::Contact;
use crate::policy::doubling;
use crate::system::chance;
use anyhow::{Context, Result};
use bytes::Bytes;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter, SubscribeReasonCode,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The wait after a first failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// For the network and TLS, and the broker's answer.
const CONNECTION_TIME: u64 = 30;
/// Messages on their way in and out. What is reported is always the newest, so few of them wait.
const QUEUE: usize = 32;

/// What happened on the line.
pub(super) enum News {
    /// The broker took the device in.
    Connected,
    /// It confirmed a subscription.
    Subscribed,
    Message {
        topic: String,
        payload: Bytes,
    },
    /// The keep-alive interval passed.
    Tick,
    /// The connection broke, or could not be made.
    Lost,
}

/// A line that is kept up for as long as this value lives.
pub(super) struct Line {
    client: AsyncClient,
    news: mpsc::Receiver<News>,
    _turning: JoinSet<()>,
}

impl Line {
    pub(super) fn open(options: MqttOptions, contact: Contact) -> Self {
        let (client, mut events) = AsyncClient::new(options, QUEUE);
        let mut network = events.network_options();
        network.set_connection_timeout(CONNECTION_TIME);
        events.set_network_options(network);
        let (told, news) = mpsc::channel(QUEUE);
        let mut turning = JoinSet::new();
        turning.spawn(turn(events, told, contact));
        Self { client, news, _turning: turning }
    }

    pub(super) async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            // It turns as long as this value lives.
            None => std::future::pending().await,
        }
    }

    pub(super) fn subscribe(&self, topics: Vec<String>) -> Result<()> {
        let filters = topics.into_iter().map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).context("could not subscribe")
    }

    pub(super) fn publish(&self, topic: String, payload: String) -> Result<()> {
        let sent = self.client.try_publish(&topic, QoS::AtLeastOnce, false, payload);
        sent.with_context(|| format!("could not publish to {topic}"))
    }
}

/// Polls the connection, which by itself resends what was not acknowledged.
async fn turn(mut events: EventLoop, told: mpsc::Sender<News>, contact: Contact) {
    let mut failures = 0;
    loop {
        let news = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                failures = 0;
                tracing::info!("connected to the fleet's broker {}", contact.endpoint);
                News::Connected
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    tracing::warn!(
                        "the fleet's broker refused a subscription; does a policy allow the device its own shadows?"
                    );
                }
                News::Subscribed
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                News::Message { topic: message.topic, payload: message.payload }
            }
            Ok(Event::Outgoing(Outgoing::PingReq)) => News::Tick,
            Ok(_) => continue,
            Err(cause) => {
                let wait = doubling(failures, FIRST_WAIT, LONGEST_WAIT, chance());
                failures = failures.saturating_add(1);
                let (error, seconds) = (contact.failed(cause), wait.as_secs());
                if failures == 1 {
                    tracing::warn!("{error}; the next attempt is in {seconds} s");
                } else {
                    tracing::debug!("{error}; the next attempt is in {seconds} s");
                }
                if told.send(News::Lost).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
                continue;
            }
        };
        if told.send(news).await.is_err() {
            return;
        }
    }
}
