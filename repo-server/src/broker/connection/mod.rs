//! One client's connection: a task that reads its packets, does what they ask, and sends what waits for it. While nothing
//! happens it holds little more than the socket.

mod aliases;
mod decisions;
mod keep_alive;
mod leaving;
mod opening;
mod people;
mod publishing;
mod sending;
mod subscribing;
mod wire_stream;

pub(super) use opening::open;

use super::client::Client;
use super::link::Link;
use super::shared::Core;
use super::wire::{Answer, Disconnect, DisconnectReasonCode, Packet, Publish};
use aliases::Aliases;
use keep_alive::{KeepAlive, Look};
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use wire_stream::{Broken, Turn, WireStream};

/// Messages of a client that are dealt with together, if they have come together.
const MOST_TOGETHER: usize = 32;

/// What packets travel over: TLS, or a WebSocket over it.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Transport for S {}

/// A client that was let in.
pub(super) struct Connection {
    core: Arc<Core>,
    link: Arc<Link>,
    client: Arc<Client>,
    wire: WireStream,
    aliases: Aliases,
    keep_alive: KeepAlive,
    /// For how many seconds the client asked to keep its session.
    session_expiry: u32,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client said so.
    Left { with_will: bool, session_expiry: Option<u32> },
    /// Without a word.
    Lost,
    /// The server ends it for this reason.
    Told(DisconnectReasonCode),
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Malformed(reason) => Self::Told(reason),
            Broken::Stream(error) => {
                tracing::debug!(%error, "an MQTT connection broke");
                Self::Lost
            }
        }
    }
}

impl Connection {
    /// Until its end.
    pub(super) async fn run(mut self) {
        let end = self.talk().await;
        Box::pin(self.leave(end)).await;
    }

    async fn talk(&mut self) -> End {
        let mut timer = pin!(sleep_until(self.keep_alive.look_at(Instant::now())));
        loop {
            if let Some(reason) = self.link.reason() {
                return End::Told(reason);
            }
            if !self.wire.is_full()
                && self.client.has_mail(self.link.number)
                && let Err(end) = Box::pin(self.send_waiting()).await
            {
                return end;
            }
            let turn = tokio::select! {
                biased;
                turn = self.wire.turn() => turn,
                () = self.link.until_woken() => continue,
                () = &mut timer => match self.keep_alive.look(Instant::now()) {
                    Look::Again(at) => {
                        timer.as_mut().reset(at);
                        continue;
                    }
                    Look::Over => return End::Told(DisconnectReasonCode::KeepAliveTimeout),
                },
            };
            let done = match turn {
                Ok(Turn::Written) => Ok(()),
                Ok(Turn::Packet(packet)) => {
                    self.keep_alive.heard(Instant::now());
                    self.take(packet).await
                }
                Ok(Turn::Closed) => Err(End::Lost),
                Err(broken) => Err(broken.into()),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// With those that have come right behind it.
    async fn take_publishes(&mut self, first: Box<Publish>) -> Result<(), End> {
        let mut publishes = vec![*first];
        let next = loop {
            match self.wire.next_packet() {
                Ok(Some(Packet::Publish(publish))) if publishes.len() < MOST_TOGETHER => publishes.push(*publish),
                next => break next,
            }
        };
        self.publish(publishes).await?;
        // They are answered before anything else is done.
        self.wire.push().await?;
        match next? {
            Some(packet) => Box::pin(self.take(packet)).await,
            None => Ok(()),
        }
    }

    async fn take(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Ping => {
                self.wire.put(Answer::Pong);
                Ok(())
            }
            Packet::PublishAck(packet_id) => {
                self.core.sessions.acknowledged(&self.client, self.link.number, packet_id).await;
                Ok(())
            }
            // What these need is given back after them.
            Packet::Publish(publish) => Box::pin(self.take_publishes(publish)).await,
            Packet::Subscribe(subscribe) => Box::pin(self.subscribe(subscribe)).await,
            Packet::Unsubscribe(unsubscribe) => Box::pin(self.unsubscribe(unsubscribe)).await,
            Packet::Disconnect(Disconnect { with_will, session_expiry }) => {
                // MQTT 5 §3.14.2.2.2: a session that was to end cannot be kept now.
                if self.session_expiry == 0 && session_expiry.is_some_and(|seconds| seconds > 0) {
                    return Err(End::Told(DisconnectReasonCode::ProtocolError));
                }
                Err(End::Left { with_will, session_expiry })
            }
            // A second one.
            Packet::Connect(_) => Err(End::Told(DisconnectReasonCode::ProtocolError)),
        }
    }
}
