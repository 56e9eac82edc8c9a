//! One client's connection.

use crate::certificates::Identity;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{SinkExt as _, StreamExt as _};
use rmqtt_codec::types::{MQTT_LEVEL_311, Protocol, Publish, QoS};
use rmqtt_codec::v3::{Codec, Connect, ConnectAckReason, Packet, SubscribeReturnCode};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::num::NonZeroU16;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::Framed;

/// Seconds of silence after which a client must say something: longer than any run.
const KEEP_ALIVE: u16 = 1200;
const FIRST: NonZeroU16 = NonZeroU16::MIN;

/// Where and how to connect.
pub(crate) struct Endpoint {
    port: u16,
    roots: Arc<RootCertStore>,
    pub(crate) kept: bool,
}

impl Endpoint {
    pub(crate) fn new(port: u16, ca: CertificateDer<'static>, kept: bool) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(ca).context("ca.pem is no authority")?;
        Ok(Self { port, roots: Arc::new(roots), kept })
    }

    /// TLS with a client's own certificate.
    pub(crate) fn tls(&self, identity: Identity) -> Result<TlsConnector> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(vec![identity.certificate], identity.key)?;
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Connects, and subscribes to a filter at QoS 1 unless the session is there already.
    pub(crate) async fn connect(&self, tls: &TlsConnector, client_id: &str, filter: &str) -> Result<Wire> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.context("could not connect")?;
        stream.set_nodelay(true)?;
        let stream = tls.connect(ServerName::try_from("localhost")?, stream).await.context("the handshake failed")?;
        let mut wire = Wire { framed: Box::new(Framed::with_capacity(stream, Codec::new(0), 256)) };
        let connect = Connect {
            protocol: Protocol(MQTT_LEVEL_311),
            clean_session: !self.kept,
            keep_alive: KEEP_ALIVE,
            client_id: ByteString::from(client_id),
            ..Connect::default()
        };
        wire.send(connect.into()).await?;
        let Some(Packet::ConnectAck(answer)) = wire.receive().await? else { bail!("no CONNACK") };
        ensure!(answer.return_code == ConnectAckReason::ConnectionAccepted, "refused: {}", answer.return_code.reason());
        if !answer.session_present {
            let topic_filters = vec![(ByteString::from(filter), QoS::AtLeastOnce)];
            wire.send(Packet::Subscribe { packet_id: FIRST, topic_filters }).await?;
            let Some(Packet::SubscribeAck { status, .. }) = wire.receive().await? else { bail!("no SUBACK") };
            ensure!(status == [SubscribeReturnCode::Success(QoS::AtLeastOnce)], "may not subscribe to {filter}");
        }
        Ok(wire)
    }
}

/// An open connection.
pub(crate) struct Wire {
    framed: Box<Framed<TlsStream<TcpStream>, Codec>>,
}

impl Wire {
    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: Packet) -> Result<()> {
        self.framed.send(packet).await.context("could not send")
    }

    /// The next packet; none if the broker ended the connection.
    pub(crate) async fn receive(&mut self) -> Result<Option<Packet>> {
        Ok(self.framed.next().await.transpose().context("could not receive")?.map(|(packet, _)| packet))
    }

    /// Sends a message at QoS 1.
    pub(crate) async fn publish(&mut self, topic: &str, packet_id: NonZeroU16, payload: Bytes) -> Result<()> {
        let publish = Publish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: ByteString::from(topic),
            packet_id: Some(packet_id),
            payload,
            properties: None,
        };
        self.send(publish.into()).await
    }
}
