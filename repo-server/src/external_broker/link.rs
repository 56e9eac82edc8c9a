//! The connection to the broker: made, kept, and made again; what comes over it, and what goes.

use super::speaker::Speaker;
use super::state::BrokerState;
use crate::messaging::{Outbox, Outgoing};
use crate::metrics::Metrics;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, Request, SubscribeFilter, SubscribeReasonCode,
};
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Messages of the server that may wait for the broker, as while that is away.
const MOST_WAITING: usize = 4096;
/// Messages of the broker that may wait for an answer. It sends no more than half of them before they are acknowledged.
const MOST_HEARD: usize = 200;
/// AWS: messages that may be unacknowledged.
const MOST_INFLIGHT: u16 = 100;
/// What the library takes from us before it has sent it.
const HANDED_OVER: usize = 16;
/// The longest packet: of the broker's whatever it takes from devices, of ours what devices take.
const LONGEST_IN: usize = 1 << 20;
const LONGEST_OUT: usize = 146 << 10;
/// The longest payload that is answered. AWS: 128 KiB.
const LONGEST_PAYLOAD: usize = 128 << 10;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// For the network, TLS and the broker's answer, in seconds.
const CONNECTION_TIME: u64 = 20;
/// The wait after a first failure, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// As many answers are made at a time; one thing's are made in their order.
const WORKERS: usize = 8;

/// What is to be told to the broker, in this order.
enum Word {
    Say(Outgoing),
    /// This was heard over the connection of that number, and what there is to say about it stands before.
    Heard(Publish, u64),
}

/// A message of the broker, and the number of the connection that brought it.
type Heard = (Publish, u64);

/// The way of the server's own messages.
pub(super) struct ToBroker {
    words: mpsc::Sender<Word>,
    speaker: Arc<Speaker>,
    metrics: Arc<Metrics>,
}

impl Outbox for ToBroker {
    fn send(&self, message: Outgoing) {
        if !self.speaker.says(&message) {
            return;
        }
        match self.words.try_send(Word::Say(message)) {
            // Only when the server ends.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(word)) => {
                self.metrics.mqtt_dropped("outbox-full");
                if let Word::Say(message) = word {
                    tracing::error!(topic = message.topic, "a message was not published: too many wait for the broker");
                }
            }
        }
    }
}

/// Connects, and goes on until the tasks are ended.
pub(super) fn open(
    mut options: MqttOptions,
    speaker: Speaker,
    state: BrokerState,
    metrics: Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> ToBroker {
    options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(LONGEST_IN, LONGEST_OUT).set_inflight(MOST_INFLIGHT);
    // What devices ask while this server is away waits for it, and what it was cut off in comes again.
    options.set_clean_session(false).set_manual_acks(true);
    let (client, mut events) = AsyncClient::new(options, HANDED_OVER);
    let mut network = events.network_options();
    network.set_connection_timeout(CONNECTION_TIME);
    events.set_network_options(network);
    let speaker = Arc::new(speaker);
    let (words, said) = mpsc::channel(MOST_WAITING);
    let (connection, connected) = watch::channel(None);
    let workers = (0..WORKERS).map(|_| {
        let (heard, waiting) = mpsc::channel(MOST_HEARD);
        tasks.spawn(answer(waiting, speaker.clone(), words.clone()));
        heard
    });
    let workers: Vec<_> = workers.collect();
    tasks.spawn(say(said, client.clone(), connected, metrics.clone()));
    let turning = Turning {
        filters: speaker.filters(),
        speaker: speaker.clone(),
        client,
        workers,
        connection,
        state,
        metrics: metrics.clone(),
        order: RandomState::new(),
    };
    tasks.spawn(turning.turn(events));
    ToBroker { words, speaker, metrics }
}

struct Turning {
    filters: Vec<String>,
    speaker: Arc<Speaker>,
    client: AsyncClient,
    workers: Vec<mpsc::Sender<Heard>>,
    /// The number of the connection that there is.
    connection: watch::Sender<Option<u64>>,
    state: BrokerState,
    metrics: Arc<Metrics>,
    order: RandomState,
}

impl Turning {
    async fn turn(self, mut events: EventLoop) {
        let (mut failures, mut number) = (0_u32, 0);
        // The library forgets what it sent when the broker has forgotten the session.
        let mut unsent = VecDeque::new();
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    number += 1;
                    events.pending.extend(unsent.drain(..));
                    let filters =
                        self.filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
                    // There is room: nothing else is handed over before this is confirmed.
                    if let Err(error) = self.client.try_subscribe_many(filters) {
                        tracing::error!(%error, "could not ask the broker for messages");
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    failures = 0;
                    if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                        tracing::error!(
                            broker = %self.state.broker(),
                            "the broker refuses a subscription of this server, so not all that devices ask is answered; {}",
                            self.speaker.advice()
                        );
                    }
                    tracing::info!(broker = %self.state.broker(), "connected to the broker");
                    self.state.set(true);
                    self.connection.send_replace(Some(number));
                }
                Ok(Event::Incoming(Packet::Publish(message))) => self.heard(message, number),
                Ok(_) => {}
                Err(error) => {
                    self.connection.send_replace(None);
                    let was_connected = self.state.is_connected();
                    self.state.set(false);
                    let is_message = |request: &Request| matches!(request, Request::Publish(_));
                    unsent.extend(events.pending.drain(..).filter(is_message));
                    let wait = wait(failures);
                    failures = failures.saturating_add(1);
                    let broker = self.state.broker();
                    if was_connected || failures == 1 {
                        tracing::warn!(%broker, %error, "no connection to the broker; tries again; {}", self.speaker.advice());
                    } else {
                        tracing::debug!(%broker, %error, "no connection to the broker; tries again");
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn heard(&self, message: Publish, connection: u64) {
        self.metrics.mqtt_message("in");
        if message.payload.len() > LONGEST_PAYLOAD {
            tracing::warn!(topic = message.topic, "a message is longer than 128 KiB and is not answered");
        }
        let place = self.order.hash_one(self.speaker.order(&message.topic)) % (WORKERS as u64);
        // The remainder is below the number of workers.
        let Some(worker) = self.workers.get(usize::try_from(place).unwrap_or_default()) else { return };
        if worker.try_send((message, connection)).is_err() {
            // Only without an acknowledgement can there be so many: who wants an answer asks at QoS 1.
            self.metrics.mqtt_dropped("slow-server");
        }
    }
}

/// Makes answers, one after the other.
async fn answer(mut waiting: mpsc::Receiver<Heard>, speaker: Arc<Speaker>, words: mpsc::Sender<Word>) {
    while let Some((message, connection)) = waiting.recv().await {
        let said = match message.payload.len() <= LONGEST_PAYLOAD {
            true => speaker.hear(&message.topic, &message.payload).await,
            false => Vec::new(),
        };
        for message in said.into_iter().filter(|message| speaker.says(message)) {
            if words.send(Word::Say(message)).await.is_err() {
                return;
            }
        }
        if words.send(Word::Heard(message, connection)).await.is_err() {
            return;
        }
    }
}

/// Hands words over while there is a connection.
async fn say(
    mut words: mpsc::Receiver<Word>,
    client: AsyncClient,
    mut connected: watch::Receiver<Option<u64>>,
    metrics: Arc<Metrics>,
) {
    while let Some(word) = words.recv().await {
        let Ok(connection) = connected.wait_for(Option::is_some).await.map(|number| *number) else { return };
        let handed_over = match word {
            Word::Say(Outgoing { topic, payload, .. }) => {
                metrics.mqtt_message("out");
                client.publish_bytes(topic, QoS::AtLeastOnce, false, payload).await
            }
            // Over another connection it comes again, under another number.
            Word::Heard(message, number) if connection == Some(number) => client.ack(&message).await,
            Word::Heard(..) => Ok(()),
        };
        if let Err(error) = handed_over {
            tracing::error!(%error, "a message was not published");
        }
    }
}

/// Twice as long after each failure, shortened by chance, so that not all who lost a broker come back at once.
fn wait(failures: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT);
    let mut chance = [0];
    // Without chance it is the whole wait.
    let _ = getrandom::fill(&mut chance);
    longest - longest.mul_f64(f64::from(chance[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_bound_and_is_never_nothing() {
        for failures in 0..40 {
            let wait = wait(failures);
            assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT, "{failures}: {wait:?}");
        }
        assert!(wait(30) >= LONGEST_WAIT / 2);
    }
}
