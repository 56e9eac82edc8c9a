//! All devices and their operator.

use crate::certificates::{Identity, OPERATOR, read};
use crate::client::{Endpoint, Wire};
use crate::count::Count;
use anyhow::{Context, Error, Result, bail, ensure};
use bytes::Bytes;
use rmqtt_codec::v3::Packet;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsConnector;

/// Connections that begin at a time.
const HANDSHAKES: usize = 128;
/// Before a client that lost its connection comes back.
const PAUSE: Duration = Duration::from_millis(500);
/// A reading, as a device reports it, or a command.
const PAYLOAD: Bytes = Bytes::from_static(br#"{"on":true,"watts":4.7,"temperature":21.5,"rssi":-61,"at":1764000000}"#);

/// What all devices share.
struct Fleet {
    endpoint: Endpoint,
    handshakes: Semaphore,
    connected: Count,
    commanded: Count,
    reported: Count,
    heard: Count,
    /// Commands that came again.
    twice: AtomicUsize,
    failures: mpsc::Sender<Error>,
}

/// Reads steps from standard input and does them.
pub(crate) async fn run(port: u16, folder: &Path, kept: bool) -> Result<()> {
    let (ca, mut identities) = read(folder)?;
    ensure!(identities.len() > 1, "{} holds no devices", folder.display());
    let devices = identities.split_off(1);
    let operator = identities.pop().context("there is no operator")?;
    let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
    let count = names.len();
    let endpoint = Endpoint::new(port, ca, kept)?;
    let operator = endpoint.tls(operator)?;
    let (failures, mut failed) = mpsc::channel(1);
    let fleet = Arc::new(Fleet {
        endpoint,
        handshakes: Semaphore::new(HANDSHAKES),
        connected: Count::of("devices that connected", count),
        commanded: Count::of("devices that got their command", count),
        reported: Count::of("reports that were acknowledged", count),
        heard: Count::of("reports that the operator got", count),
        twice: AtomicUsize::new(0),
        failures,
    });
    tokio::select! {
        outcome = steps(&fleet, devices, &names, &operator) => outcome,
        Some(failure) = failed.recv() => Err(failure),
    }
}

async fn steps(fleet: &Arc<Fleet>, devices: Vec<Identity>, names: &[String], operator: &TlsConnector) -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (report, asked) = watch::channel(false);
    let mut devices = Some(devices);
    while let Some(step) = lines.next_line().await? {
        let mut start = Instant::now();
        match step.as_str() {
            "connect" => {
                for identity in devices.take().context("they are connected already")? {
                    tokio::spawn(watched(fleet.clone(), identity, asked.clone()));
                }
                fleet.connected.wait().await?;
            }
            "command" => {
                let (sent, got) = tokio::join!(command(fleet, names, operator), fleet.commanded.wait());
                sent.and(got)?;
            }
            "report" => {
                let monitor = format!("{OPERATOR}/monitor");
                let mut wire = fleet.endpoint.connect(operator, &monitor, "sensor/device/+").await?;
                start = Instant::now();
                report.send_replace(true);
                let (heard, reported) = tokio::join!(hear(fleet, &mut wire), fleet.reported.wait());
                heard.and(reported)?;
            }
            other => bail!("unknown step {other:?}"),
        }
        println!("{step} {:.3}", start.elapsed().as_secs_f64());
    }
    println!("twice {}", fleet.twice.load(Ordering::Acquire));
    Ok(())
}

/// A message to each device. Those that were not acknowledged are sent again over the next connection.
async fn command(fleet: &Fleet, names: &[String], operator: &TlsConnector) -> Result<()> {
    let client_id = format!("{OPERATOR}/commands");
    let mut acknowledged = vec![false; names.len()];
    loop {
        let wire = fleet.endpoint.connect(operator, &client_id, "command/device/operator").await;
        let outcome = match wire {
            Ok(mut wire) => command_over(fleet, &mut wire, names, &mut acknowledged).await,
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) if !fleet.endpoint.kept => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// In windows, so that a packet id is its message's place in the window: brokers take up to 20 at a time, or more.
async fn command_over(fleet: &Fleet, wire: &mut Wire, names: &[String], acknowledged: &mut [bool]) -> Result<()> {
    const WINDOW: usize = 20;
    let mut next = 0;
    let mut under_way = Vec::with_capacity(WINDOW);
    let half = names.len() / 2;
    loop {
        while under_way.len() < WINDOW && next < names.len() {
            if !acknowledged[next] {
                let topic = format!("command/device/{}", names[next]);
                wire.publish(&topic, packet_id(next)?, PAYLOAD).await?;
                under_way.push(next);
            }
            next += 1;
        }
        if under_way.is_empty() {
            return Ok(());
        }
        let packet = wire.receive().await?.context("the broker ended the operator's connection")?;
        let Packet::PublishAck { packet_id: answered } = packet else { continue };
        let place = under_way.iter().position(|&number| packet_id(number).is_ok_and(|id| id == answered));
        let number = under_way.swap_remove(place.context("an answer to nothing")?);
        acknowledged[number] = true;
        if fleet.endpoint.kept && number == half {
            println!("half");
        }
    }
}

/// Fleets are smaller than 65,535 devices.
fn packet_id(number: usize) -> Result<NonZeroU16> {
    NonZeroU16::new(u16::try_from(number + 1)?).context("no packet id")
}

/// What every device reports.
async fn hear(fleet: &Fleet, wire: &mut Wire) -> Result<()> {
    while !fleet.heard.is_reached() {
        match wire.receive().await?.context("the broker ended the monitor's connection")? {
            Packet::Publish(publish) => {
                if let Some(packet_id) = publish.packet_id {
                    wire.send(Packet::PublishAck { packet_id }).await?;
                }
                fleet.heard.add();
            }
            other => bail!("the monitor got {other:?}"),
        }
    }
    Ok(())
}

async fn watched(fleet: Arc<Fleet>, identity: Identity, report: watch::Receiver<bool>) {
    if let Err(error) = device(&fleet, identity, report).await {
        // The first one is enough.
        let _ = fleet.failures.try_send(error);
    }
}

/// A device, for as long as the program runs.
async fn device(fleet: &Fleet, identity: Identity, mut report: watch::Receiver<bool>) -> Result<()> {
    let name = identity.name.clone();
    let tls = fleet.endpoint.tls(identity)?;
    let mut state = State::default();
    loop {
        let served = serve(fleet, &tls, &name, &mut state, &mut report).await;
        match served.with_context(|| format!("as {name}")) {
            Err(error) if !fleet.endpoint.kept => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// How far a device is.
#[derive(Default)]
struct State {
    was_connected: bool,
    was_commanded: bool,
    has_reported: bool,
}

async fn serve(
    fleet: &Fleet,
    tls: &TlsConnector,
    name: &str,
    state: &mut State,
    report: &mut watch::Receiver<bool>,
) -> Result<()> {
    let mut wire = {
        let _turn = fleet.handshakes.acquire().await?;
        // The handshake's memory goes with it.
        Box::pin(fleet.endpoint.connect(tls, name, &format!("command/device/{name}"))).await?
    };
    if !std::mem::replace(&mut state.was_connected, true) {
        fleet.connected.add();
    }
    loop {
        tokio::select! {
            packet = wire.receive() => match packet?.context("the broker ended the connection")? {
                Packet::Publish(publish) => {
                    if let Some(packet_id) = publish.packet_id {
                        wire.send(Packet::PublishAck { packet_id }).await?;
                    }
                    if std::mem::replace(&mut state.was_commanded, true) {
                        fleet.twice.fetch_add(1, Ordering::AcqRel);
                    } else {
                        fleet.commanded.add();
                    }
                }
                Packet::PublishAck { .. } => {
                    if !std::mem::replace(&mut state.has_reported, true) {
                        fleet.reported.add();
                    }
                }
                other => bail!("got {other:?}"),
            },
            changed = report.changed() => {
                // Nobody asks any more: the program ends.
                if changed.is_err() {
                    return Ok(());
                }
                wire.publish(&format!("sensor/device/{name}"), NonZeroU16::MIN, PAYLOAD).await?;
            }
        }
    }
}
