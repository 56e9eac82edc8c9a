//! Clients: Mosquitto's programs, and one that sends whatever bytes it is given.

use crate::running::{Answer, Server, Site, agent};
use debian_formats::checksums::sha256_hex;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SerialNumber};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead as _, BufReader, ErrorKind, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

/// The policy of AWS's demonstrations, and what the services of things need.
const POLICY: &str = "{'Version':'2012-10-17','Statement':[\
    {'Effect':'Allow','Action':'iot:Connect','Resource':'*'},\
    {'Effect':'Allow','Action':['iot:Publish','iot:RetainPublish'],'Resource':[\
        'arn:aws:iot:us-east-1:123456789012:topic/sensor/device/${iot:Connection.Thing.ThingName}',\
        'arn:aws:iot:us-east-1:123456789012:topic/$aws/things/${iot:Connection.Thing.ThingName}/*']},\
    {'Effect':'Allow','Action':'iot:Subscribe','Resource':[\
        'arn:aws:iot:us-east-1:123456789012:topicfilter/command/device/${iot:Connection.Thing.ThingName}',\
        'arn:aws:iot:us-east-1:123456789012:topicfilter/command/device/all',\
        'arn:aws:iot:us-east-1:123456789012:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/*']},\
    {'Effect':'Allow','Action':'iot:Receive','Resource':[\
        'arn:aws:iot:us-east-1:123456789012:topic/command/device/${iot:Connection.Thing.ThingName}',\
        'arn:aws:iot:us-east-1:123456789012:topic/command/device/all',\
        'arn:aws:iot:us-east-1:123456789012:topic/$aws/things/${iot:Connection.Thing.ThingName}/*']}]}";

/// A device's certificate and key, as files.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) id: String,
    serial: String,
    pub(super) pem: PathBuf,
    pub(super) key: PathBuf,
    ca: PathBuf,
}

/// How a certificate is made.
pub(super) struct Making {
    pub(super) common_name: Option<String>,
    pub(super) not_after: (i32, u8, u8),
    pub(super) self_signed: bool,
}

impl Making {
    pub(super) fn named(name: &str) -> Self {
        Self { common_name: Some(name.to_owned()), not_after: (2099, 1, 1), self_signed: false }
    }
}

static NUMBER: AtomicU32 = AtomicU32::new(1);

impl Site {
    /// A certificate that nobody has registered.
    pub(super) fn make_certificate(&self, making: &Making) -> Device {
        let read = |path: &str| std::fs::read_to_string(self.data.join(path)).unwrap();
        let ca_key = KeyPair::from_pem(&read("keys/fleet-ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("fleet-ca.pem"), ca_key).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = &making.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&number.to_be_bytes()));
        let (year, month, day) = making.not_after;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let made = if making.self_signed { params.self_signed(&key) } else { params.signed_by(&key, &issuer) }.unwrap();
        let file = |extension: &str, content: &str| {
            let path = self.data.with_file_name(format!("client-{number}.{extension}"));
            durable_files::replace(&path, content.as_bytes(), 0o600).unwrap();
            path
        };
        Device {
            name: making.common_name.clone().unwrap_or_default(),
            id: sha256_hex(made.der()),
            serial: format!("{number:08x}").trim_start_matches("00").to_owned(),
            pem: file("pem", &made.pem()),
            key: file("key", &key.serialize_pem()),
            ca: self.data.join("fleet-ca.pem"),
        }
    }

    /// A certificate that is registered and attached to no thing.
    pub(super) fn register(&self, making: &Making) -> Device {
        let device = self.make_certificate(making);
        let (id, pem) = (&device.id, std::fs::read_to_string(&device.pem).unwrap());
        self.tamper(&[&format!(
            "INSERT INTO certificates (id, pem, serial, subject, kind, status, not_before, not_after, created_at) \
             VALUES ('{id}', '{pem}', '{}', '', 'device', 'ACTIVE', 0, 4000000000, 0)",
            device.serial
        )]);
        device
    }

    /// A thing with its certificate, whose policies allow the topics `sensor/device/NAME`, `command/device/NAME` and
    /// `command/device/all`, and those of the things' services.
    pub(super) fn enrolled(&self, name: &str) -> Device {
        let device = self.register(&Making::named(name));
        let id = &device.id;
        self.tamper(&[
            &format!(
                "INSERT INTO things (name, id, attributes, version, created_at) VALUES ('{name}', '{name}', '{{}}', 1, 0)"
            ),
            &format!("INSERT INTO thing_principals (thing, certificate) VALUES ('{name}', '{id}')"),
        ]);
        self.allow(&device, "fleet");
        device
    }

    /// A site with the policy that [`Site::enrolled`] attaches.
    pub(super) fn with_policy() -> Self {
        let site = Self::new();
        let document = POLICY.replace('\'', "\"");
        site.tamper(&[
            "INSERT INTO policies (name, default_version, created_at) VALUES ('fleet', 1, 0)",
            &format!("INSERT INTO policy_versions (policy, version, document, created_at) VALUES ('fleet', 1, '{document}', 0)"),
            "INSERT INTO policies (name, default_version, created_at) VALUES ('everything', 1, 0)",
            &format!("INSERT INTO policy_versions (policy, version, document, created_at) VALUES ('everything', 1, '{EVERYTHING}', 0)"),
        ]);
        site
    }

    /// Attaches a policy to a certificate: `fleet` or `everything`.
    pub(super) fn allow(&self, device: &Device, policy: &str) {
        self.tamper(&[&format!(
            "INSERT INTO policy_attachments (policy, target_kind, target) VALUES ('{policy}', 'certificate', '{}')",
            device.id
        )]);
    }
}

impl Server {
    /// The port of the listener with this scheme.
    pub(crate) fn port(&self, scheme: &str) -> u16 {
        let base = self.bases.iter().find(|base| base.starts_with(scheme)).unwrap();
        base.rsplit(':').next().unwrap().parse().unwrap()
    }

    fn mosquitto(&self, program: &str, device: &Device, arguments: &[&str]) -> Command {
        // Line by line, also into a pipe.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", program]);
        command.args(["-h", "localhost", "-p", &self.port("mqtts").to_string()]).arg("--cafile").arg(&device.ca);
        command.arg("--cert").arg(&device.pem).arg("--key").arg(&device.key);
        if !arguments.contains(&"-i") {
            command.args(["-i", &device.name]);
        }
        command.args(arguments);
        command
    }

    /// Changes a thing's shadow over REST.
    pub(super) fn change_shadow(&self, thing: &str, change: &str) -> Answer {
        let request = agent().post(self.url(&format!("/things/{thing}/shadow")));
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        Answer::of(request.content_type("application/json").send(change))
    }

    /// Publishes, with `mosquitto_pub`.
    pub(super) fn publish_message(&self, device: &Device, topic: &str, payload: &str, more: &[&str]) -> Output {
        let arguments = [&["-t", topic, "-m", payload, "-d"], more].concat();
        self.mosquitto("mosquitto_pub", device, &arguments).output().unwrap()
    }

    /// Subscribes, with `mosquitto_sub`, and returns when the broker has acknowledged it.
    pub(super) fn subscribe(&self, device: &Device, filter: &str, more: &[&str]) -> Subscription {
        let arguments = [&["-t", filter, "-d", "-F", "got %r %q %t %p"], more].concat();
        let mut command = self.mosquitto("mosquitto_sub", device, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subscription = Subscription { child, lines };
        subscription.wait_for("received SUBACK");
        subscription
    }
}

/// Runs until it is dropped.
pub(super) struct Subscription {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscription {
    /// The next line that contains this.
    #[track_caller]
    pub(super) fn wait_for(&mut self, wanted: &str) -> String {
        let line = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(wanted));
        line.unwrap_or_else(|| panic!("the client ended and had not said {wanted:?}"))
    }

    /// The next message, as `RETAINED QOS TOPIC PAYLOAD`.
    #[track_caller]
    pub(super) fn next(&mut self) -> String {
        self.wait_for("got ").strip_prefix("got ").unwrap().to_owned()
    }

    /// All that it says until it ends by itself.
    pub(super) fn rest(&mut self) -> String {
        self.lines.by_ref().map(|line| line.unwrap() + "\n").collect()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a client asks for a WebSocket; `Sec-WebSocket-Protocol` and an empty line are to follow.
pub(super) const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// RFC 6455 §5.2, masked with nothing.
pub(super) fn frame(bytes: &[u8]) -> Vec<u8> {
    [&[0x82, 0x80 | u8::try_from(bytes.len()).unwrap(), 0, 0, 0, 0], bytes].concat()
}

pub(super) fn unframed(packet: &[u8]) -> (u8, Vec<u8>) {
    assert_eq!(usize::from(packet[1]) + 2, packet.len());
    (packet[0], packet[2..].to_vec())
}

/// A connection over which anything can be said.
pub(super) struct Wire(StreamOwned<ClientConnection, TcpStream>);

/// A packet: its first byte, and what follows its length.
pub(super) type Packet = (u8, Vec<u8>);

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

impl Wire {
    /// Shakes hands as this device, or fails as the server wants it.
    pub(super) fn open(
        server: &Server,
        scheme: &str,
        device: &Device,
        shown: bool,
        alpn: &[&str],
    ) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&device.ca).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = if shown {
            let chain = vec![CertificateDer::from_pem_file(&device.pem).unwrap()];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&device.key).unwrap()).unwrap()
        } else {
            config.with_no_client_auth()
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", server.port(scheme))).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut wire = Self(StreamOwned::new(session, socket));
        // In TLS 1.3 the server refuses a certificate only after the client has finished.
        wire.0.flush().map_err(|error| error.to_string())?;
        Ok(wire)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        // A server that has had enough may have closed already.
        let _ = self.0.write_all(bytes).and_then(|()| self.0.flush());
    }

    /// The next packet; none when the server has closed the connection.
    pub(super) fn receive(&mut self) -> Option<Packet> {
        let first = self.byte()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((first, body))
    }

    /// The head of an HTTP response.
    pub(super) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte().expect("a whole head"));
        }
        String::from_utf8(head).unwrap()
    }

    /// A frame of a WebSocket (RFC 6455 §5.2): its opcode and what it carries; none when the server has hung up.
    pub(super) fn any_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.byte()?;
        let mut length = vec![0; 0];
        match self.byte()? {
            short @ 0..=125 => length.push(short),
            long => length.resize(if long == 126 { 2 } else { 8 }, 0),
        }
        if length.len() > 1 {
            self.0.read_exact(&mut length).unwrap();
        }
        let mut content = vec![0; length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))];
        self.0.read_exact(&mut content).unwrap();
        Some((first & 0x0f, content))
    }

    /// What a frame of a WebSocket carries, up to 125 bytes.
    pub(super) fn frame(&mut self) -> Vec<u8> {
        assert_eq!(self.byte(), Some(0x82), "a binary frame");
        let mut content = vec![0; usize::from(self.byte().unwrap())];
        self.0.read_exact(&mut content).unwrap();
        content
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.0.read_exact(&mut byte) {
            Ok(()) => Some(byte[0]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server said nothing")
            }
            Err(_) => None,
        }
    }

    /// Connects with MQTT 3.1.1 or 5, and gives the reason code of the answer; none if there was no answer.
    pub(super) fn connect(&mut self, version: u8, client_id: &str, clean: bool, will: Option<&str>) -> Option<u8> {
        self.send(&connect_packet(version, client_id, clean, will));
        let (first, body) = self.receive()?;
        assert_eq!(first, 0x20, "CONNACK");
        Some(body[1])
    }
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// A packet of any type.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        packet.push(u8::try_from(length & 0x7f).unwrap() | more);
        length >>= 7;
        if more == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// CONNECT, keeping a session for an hour unless it is clean.
pub(super) fn connect_packet(version: u8, client_id: &str, clean: bool, will: Option<&str>) -> Vec<u8> {
    let mut body = text("MQTT");
    let flags = u8::from(clean) << 1 | if will.is_some() { 0b0000_1100 } else { 0 };
    body.extend([version, flags, 0, 60]);
    if version == 5 {
        let expiry = if clean { 0_u32 } else { 3600 };
        body.extend([5, 0x11]);
        body.extend(expiry.to_be_bytes());
    }
    body.extend(text(client_id));
    if let Some(topic) = will {
        if version == 5 {
            body.push(0);
        }
        body.extend(text(topic));
        body.extend(text("gone"));
    }
    packet(0x10, &body)
}

/// PUBLISH at QoS 1, or 0 without a packet identifier.
pub(super) fn publish_packet(version: u8, topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if let Some(id) = id {
        body.extend(id.to_be_bytes());
    }
    if version == 5 {
        body.push(0);
    }
    body.extend(payload);
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// SUBSCRIBE at QoS 1.
pub(super) fn subscribe_packet(version: u8, id: u16, filter: &str) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    body.extend(text(filter));
    body.push(1);
    packet(0x82, &body)
}
