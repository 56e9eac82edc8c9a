//! Ten thousand devices, each with a certificate and a connection of its own, beside Mosquitto. `fleet-load` is the devices.

use super::fixture::{Server, Tools, free_address, printed, scratch, with_all_descriptors, write};
use super::measure::{Contender, Sample, resident, usage_so_far};
use super::report::{Report, median};
use anyhow::{Context, Result, bail};
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

const DEVICES: usize = 10_000;
const ROUNDS: usize = 3;
/// After that nothing moves any more.
const SETTLED: Duration = Duration::from_secs(3);
/// For Mosquitto to listen.
const PATIENCE: Duration = Duration::from_secs(10);
const NAMES: [&str; 2] = ["debfleet-server", "Mosquitto"];
/// What `fleet-load` does, and how it is told.
const STEPS: [(&str, &str); 3] =
    [("connect", "devices connect"), ("command", "a message to each device"), ("report", "a report from each device")];
const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

pub(super) fn measure(tools: &Tools) -> Result<Vec<Report>> {
    println!("broker: {DEVICES} devices, beside Mosquitto");
    let folder = scratch()?;
    let (keys, data, devices) = (folder.path().join("keys"), folder.path().join("data"), folder.path().join("devices"));
    tools.new_key(&keys)?;
    let address = free_address()?;
    let mut server = Server::start_with(tools, &data, &keys, &["--mqtts", &address.to_string()])?;
    enrol(tools, &server, &data, &devices)?;
    let mosquitto = Mosquitto::new(folder.path(), &devices)?;

    let mut contenders: Vec<Vec<Contender>> =
        STEPS.iter().map(|_| NAMES.iter().map(|name| Contender { name, samples: Vec::new() }).collect()).collect();
    for round in 0..=ROUNDS {
        for (number, name) in NAMES.iter().enumerate() {
            let samples = if number == 0 {
                server.stop()?;
                server.start_again(tools)?;
                one_run(tools, &devices, address.port(), server.process())
            } else {
                let running = mosquitto.start()?;
                one_run(tools, &devices, mosquitto.port, running.0.id())
            };
            for (step, sample) in samples.with_context(|| format!("{name}, round {round}"))?.into_iter().enumerate() {
                let what = STEPS[step].1;
                println!("  {round} of {ROUNDS}: {name}: {what}: {:.2} s, {:.2} s of CPU", sample.wall, sample.cpu);
                if round > 0 {
                    contenders[step][number].samples.push(sample);
                }
            }
        }
    }
    let killed = killed(tools, &mut server, &devices, address.port())?;
    let mut reports: Vec<Report> = contenders
        .into_iter()
        .zip(STEPS)
        .map(|(contenders, (_, what))| Report {
            title: format!("`broker`: {what}"),
            setting: SETTING.to_owned(),
            contenders,
            pairs: vec![(0, 1)],
            notes: vec![
                "CPU is the broker's own. Memory is what it holds once all are connected, less what it held before."
                    .to_owned(),
            ],
        })
        .collect();
    let first = reports.first_mut().context("nothing was measured")?;
    let each: Vec<f64> = first.contenders.iter().map(per_connection).collect();
    if let [ours, peer] = each[..] {
        let ratio = ours / peer;
        first.notes.push(format!("A connection: {ours:.1} kB, Mosquitto's {peer:.1} kB ({ratio:.2} ×)."));
    }
    let last = reports.last_mut().context("nothing was measured")?;
    last.notes.push(killed);
    Ok(reports)
}

const SETTING: &str = "10000 simulated devices in one process, on the same two cores, each with a certificate of its own, \
    over TLS 1.3 and MQTT 3.1.1 at QoS 1 with clean sessions. They connect (128 at a time) and subscribe to a topic each; an \
    operator sends a message to each, 20 at a time; each sends a report, all at once, and the operator gets all of them. \
    debfleet-server checks every certificate in its registry and every message against the standard policy; Mosquitto has \
    the same rules as an ACL by pattern, and no limit on what waits for a client.";

/// Kilobytes.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit after the point")]
fn per_connection(contender: &Contender) -> f64 {
    let memory: Vec<f64> = contender.samples.iter().map(|sample| sample.memory).collect();
    median(&memory) * 1000.0 / DEVICES as f64
}

/// Certificates of the server's own authority, and things that they speak for.
fn enrol(tools: &Tools, server: &Server, data: &Path, devices: &Path) -> Result<()> {
    println!("  making and registering the certificates …");
    let mut make = tools.command("fleet-load");
    make.args(["make", "--count", &DEVICES.to_string(), "--ca"]).arg(data.join("fleet-ca.pem"));
    printed(make.arg("--ca-key").arg(data.join("keys/fleet-ca.key")).arg("--out").arg(devices))?;
    let everything = devices.join("everything.json");
    write(&everything, EVERYTHING)?;
    let text = |path: &Path| path.display().to_string();
    for arguments in [
        &["group", "create", "operators"][..],
        &["policy", "create", "everything", &text(&everything)],
        &["policy", "attach", "everything", "--group", "operators"],
        &["thing", "import", &text(&devices.join("things.csv"))],
    ] {
        printed(&mut server.client(tools, arguments))?;
    }
    let mut register = tools.command("fleet-load");
    register.args(["register", "--server", &server.url, "--folder"]).arg(devices).env("DEBFLEET_TOKEN", &server.token);
    printed(&mut register).map(drop)
}

/// All steps with a broker that has just started.
fn one_run(tools: &Tools, devices: &Path, port: u16, broker: u32) -> Result<Vec<Sample>> {
    let mut load = Load::start(tools, devices, port, &[])?;
    std::thread::sleep(SETTLED);
    let idle = resident(broker)?;
    let mut samples = Vec::new();
    for (step, _) in STEPS {
        let (before, _) = usage_so_far(broker)?;
        let wall = load.step(step)?;
        let (after, _) = usage_so_far(broker)?;
        std::thread::sleep(SETTLED);
        samples.push(Sample { wall, cpu: after - before, memory: resident(broker)? - idle });
    }
    Ok(samples)
}

/// The server is killed when half of the devices have got a message; their sessions are kept.
fn killed(tools: &Tools, server: &mut Server, devices: &Path, port: u16) -> Result<String> {
    println!("  the server is killed in the middle …");
    let mut load = Load::start(tools, devices, port, &["--kept"])?;
    load.step("connect")?;
    load.tell("command")?;
    load.line_that_begins("half")?;
    server.kill()?;
    server.start_again(tools)?;
    let seconds = load.line_that_begins("command")?;
    drop(load.stdin.take());
    let twice = load.line_that_begins("twice")?;
    println!("  all have their message after {seconds:.1} s");
    Ok(format!(
        "With kept sessions, and the server killed with SIGKILL and started again when half of the messages to the devices were \
         acknowledged: each of the {DEVICES} devices got its message, {twice} of them twice; none was lost. It took {seconds:.1} s \
         with all of them connecting again."
    ))
}

/// The devices.
struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(tools: &Tools, devices: &Path, port: u16, more: &[&str]) -> Result<Self> {
        let mut command = with_all_descriptors(&tools.path("fleet-load"));
        command.args(["run", "--port", &port.to_string(), "--folder"]).arg(devices).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("could not start fleet-load")?;
        let stdout = child.stdout.take().context("fleet-load has no output")?;
        Ok(Self { stdin: child.stdin.take(), child, lines: BufReader::new(stdout).lines() })
    }

    /// Has it do a step, and gives the seconds that it took.
    fn step(&mut self, step: &str) -> Result<f64> {
        self.tell(step)?;
        self.line_that_begins(step)
    }

    fn tell(&mut self, step: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("fleet-load was told to end")?;
        writeln!(stdin, "{step}").with_context(|| format!("could not tell fleet-load to {step}"))
    }

    /// The number behind a word; zero if there is none.
    fn line_that_begins(&mut self, word: &str) -> Result<f64> {
        let line = self.lines.next().transpose().context("could not read what fleet-load says")?;
        let line = line.with_context(|| format!("fleet-load ended before {word:?}"))?;
        match line.strip_prefix(word) {
            Some(number) => Ok(number.trim().parse().unwrap_or_default()),
            None => bail!("fleet-load said {line:?} in place of {word:?}"),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer's configuration.
struct Mosquitto {
    file: std::path::PathBuf,
    port: u16,
}

/// Ends with the round.
struct Running(Child);

impl Mosquitto {
    fn new(folder: &Path, devices: &Path) -> Result<Self> {
        let port = free_address()?.port();
        let (file, acl) = (folder.join("mosquitto.conf"), folder.join("acl"));
        write(
            &acl,
            "pattern read command/device/%u\npattern write sensor/device/%u\nuser operator\ntopic readwrite #\n",
        )?;
        let (acl, devices) = (acl.display(), devices.display());
        let text = format!(
            "listener {port} 127.0.0.1\ncafile {devices}/ca.pem\ncertfile {devices}/server.pem\nkeyfile {devices}/server.key\n\
             require_certificate true\nuse_identity_as_username true\nacl_file {acl}\nmax_inflight_messages 100\n\
             max_queued_messages 0\nset_tcp_nodelay true\npersistence false\nuser root\nlog_type error\n"
        );
        write(&file, text)?;
        Ok(Self { file, port })
    }

    fn start(&self) -> Result<Running> {
        let mut command = with_all_descriptors(Path::new("mosquitto"));
        // It has a line for each client that goes without a word.
        command.arg("-c").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command.spawn().context("could not start mosquitto")?);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > end {
                bail!("mosquitto does not listen on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
