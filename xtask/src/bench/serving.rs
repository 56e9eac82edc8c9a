//! Indexes and packages under load, beside nginx with the same files.

use super::fixture::{Server, Tools, free_address, printed, scratch, write};
use super::measure::{Sample, alternate, resident, usage_so_far};
use super::report::Report;
use anyhow::{Context, Result, bail};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// For each measurement of a round.
const SECONDS: u64 = 4;
/// What a contender's time is that of.
const REQUESTS: f64 = 10_000.0;
const SLOW_CLIENTS: usize = 1000;
/// A slow client waits no longer for its first byte.
const PATIENCE: Duration = Duration::from_secs(30);
/// After that nothing moves any more.
const SETTLED: Duration = Duration::from_secs(5);
/// Incompressible bytes in the package.
const PACKAGE: usize = 30_000_000;
const INRELEASE: &str = "/debian/dists/stable/InRelease";

/// One thing that is asked for again and again.
struct Load {
    path: String,
    connections: u32,
    /// The client has it already.
    known: bool,
}

pub(super) fn measure(tools: &Tools) -> Result<Vec<Report>> {
    println!("serving: requests in a second, beside nginx");
    let folder = scratch()?;
    let keys = folder.path().join("keys");
    tools.new_key(&keys)?;
    let tree = folder.path().join("tree");
    let control = "Package: large\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
                   Description: a large package\n It cannot be compressed.\n";
    write(&tree.join("DEBIAN/control"), control)?;
    let random = Command::new("head").args(["-c", &PACKAGE.to_string(), "/dev/urandom"]).output();
    write(&tree.join("opt/large/content"), random.context("could not read random bytes")?.stdout)?;
    let built = printed(&mut tools.build(&tree, &folder.path().join("debs"), Some(&keys)))?;
    let package = Path::new(built.lines().last().context("debfleet build printed no path")?).to_owned();

    let (certificate, key) = certificate(folder.path())?;
    let https = ["--https", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let server = Server::start_with(tools, &folder.path().join("server"), &keys, &https)?;
    printed(&mut server.publish(tools, std::slice::from_ref(&package)))?;
    let pool = "/debian/pool/main/l/large/large_1.0-1_all.deb";
    let www = folder.path().join("www");
    for path in [INRELEASE, pool] {
        let file = www.join(path.trim_start_matches('/'));
        write(&file, "")?;
        printed(Command::new("curl").args(["-sSf", "-o"]).arg(&file).arg(format!("{}{path}", server.url)))?;
    }
    let nginx = Nginx::start(folder.path(), &www, &certificate, &key)?;
    let loads = [
        ("InRelease", Load { path: INRELEASE.to_owned(), connections: 64, known: false }),
        ("its 304", Load { path: INRELEASE.to_owned(), connections: 64, known: true }),
        ("a package of 30 MB", Load { path: pool.to_owned(), connections: 8, known: false }),
    ];
    let mut reports =
        loads.iter().map(|(name, load)| compare(name, load, &server, &nginx)).collect::<Result<Vec<_>>>()?;
    reports.push(slow_clients(pool, &server, &nginx)?);
    Ok(reports)
}

/// One certificate for both servers, with its key: the paths.
fn certificate(folder: &Path) -> Result<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (path("tls.pem"), path("tls.key"));
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext \
                 subjectAltName=IP:127.0.0.1";
    let mut openssl = Command::new("openssl");
    printed(openssl.args(words.split_whitespace()).args(["-keyout", &key, "-out", &certificate]))?;
    Ok((certificate, key))
}

fn compare(name: &str, load: &Load, server: &Server, nginx: &Nginx) -> Result<Report> {
    let https = server.more_urls.first().context("the server has no HTTPS")?;
    let names = ["debfleet-server", "nginx", "debfleet-server, TLS", "nginx, TLS"];
    let contenders = alternate(ROUNDS, &names, |contender, _| {
        let url = [&server.url, &nginx.url, https, &nginx.https].into_iter().nth(contender);
        let url = url.context("there is no such contender")?;
        let processes = if contender % 2 == 0 { vec![server.process()] } else { nginx.processes()? };
        let usage = || processes.iter().map(|process| usage_so_far(*process)).collect::<Result<Vec<_>>>();
        let cpu = |usage: &[(f64, f64)]| usage.iter().map(|(cpu, _)| cpu).sum::<f64>();
        let before = usage()?;
        let (wall, thousands) = requests(url, load)?;
        let after = usage()?;
        let memory = after.iter().fold(0.0, |most: f64, (_, peak)| most.max(*peak));
        Ok(Sample { wall, cpu: (cpu(&after) - cpu(&before)) / thousands, memory })
    })?;
    let (asked, connections) = (name, load.connections);
    Ok(Report {
        title: format!("`serving`: {name}"),
        setting: format!(
            "`wrk -t2 -c{connections} -d{SECONDS}s` asks for {asked} on loopback, on the same cores as the servers, \
             and keeps its connections. nginx has the same files, `sendfile`, one worker for each core and no access \
             log; over TLS 1.3 both show the same certificate, ECDSA on P-256. {ROUNDS} rounds; the time is that of \
             {REQUESTS} requests."
        ),
        contenders,
        pairs: vec![(0, 1), (2, 3)],
        notes: vec!["CPU is the servers' own, for as many requests, without wrk's.".to_owned()],
    })
}

/// What a thousand clients cost that asked for the package and take nothing of it.
fn slow_clients(package: &str, server: &Server, nginx: &Nginx) -> Result<Report> {
    let contenders = alternate(1, &["debfleet-server", "nginx"], |contender, _| {
        let (url, processes) =
            if contender == 0 { (&server.url, vec![server.process()]) } else { (&nginx.url, nginx.processes()?) };
        let resident = || processes.iter().map(|process| resident(*process)).sum::<Result<f64>>();
        let address = url.trim_start_matches("http://");
        let before = resident()?;
        let started = Instant::now();
        let mut clients = Vec::with_capacity(SLOW_CLIENTS);
        for _ in 0..SLOW_CLIENTS {
            let mut client = TcpStream::connect(address).context("could not connect")?;
            client.set_read_timeout(Some(PATIENCE)).context("could not set a timeout")?;
            let asked = format!("GET {package} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            client.write_all(asked.as_bytes()).context("could not ask")?;
            clients.push(client);
        }
        for client in &mut clients {
            // The answer has begun; the rest fills what the kernel keeps for the connection, and then waits.
            client.read_exact(&mut [0; 1]).context("a slow client got no answer")?;
        }
        let wall = started.elapsed().as_secs_f64();
        std::thread::sleep(SETTLED);
        Ok(Sample { wall, cpu: 0.0, memory: (resident()? - before).max(0.0) })
    })?;
    Ok(Report {
        title: format!("`serving`: {SLOW_CLIENTS} slow clients"),
        setting: format!(
            "{SLOW_CLIENTS} clients ask for a package of 30 MB over plain HTTP and take one byte of it. The time is \
             that until each has its byte; the memory is what the server's processes then hold more than before."
        ),
        contenders,
        pairs: Vec::new(),
        notes: Vec::new(),
    })
}

/// How long `REQUESTS` requests take, and how often as many were made.
fn requests(url: &str, load: &Load) -> Result<(f64, f64)> {
    let url = format!("{url}{}", load.path);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", &format!("-c{}", load.connections), &format!("-d{SECONDS}s")]);
    if load.known {
        let head = printed(Command::new("curl").args(["-sSfkI", &url]))?;
        let tag = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().to_owned())
        });
        wrk.arg("-H").arg(format!("If-None-Match: {}", tag.context("the answer has no ETag")?));
    }
    let started = Instant::now();
    let said = printed(wrk.arg(&url))?;
    let seconds = started.elapsed().as_secs_f64();
    let value = |key: &str| said.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().parse::<f64>().ok());
    // A benchmark of refusals would look very good.
    if (said.contains("Non-2xx") && !load.known) || said.contains("Socket errors") {
        bail!("wrk met errors:\n{said}");
    }
    let per_second = value("Requests/sec:").context("wrk printed no requests per second")?;
    Ok((REQUESTS / per_second, per_second * seconds / REQUESTS))
}

/// nginx on loopback, ended when it is dropped.
struct Nginx {
    child: Child,
    url: String,
    https: String,
}

impl Nginx {
    fn start(folder: &Path, www: &Path, certificate: &str, key: &str) -> Result<Self> {
        // nginx takes no port 0.
        let (address, tls_address) = (free_address()?, free_address()?);
        let (folder, www) = (folder.display(), www.display());
        let text = format!(
            "worker_processes auto; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000;\n\
             ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n\
             server {{ listen {address}; listen {tls_address} ssl; root {www}; }} }}\n"
        );
        let file = format!("{folder}/nginx.conf");
        write(Path::new(&file), text)?;
        let mut command = Command::new("nginx");
        command.args(["-c", &file]).stdin(Stdio::null()).stderr(Stdio::null());
        let (url, https) = (format!("http://{address}"), format!("https://{tls_address}"));
        let nginx = Self { child: command.spawn().context("could not start nginx")?, url, https };
        let mut ask = Command::new("curl");
        ask.args(["-sSf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null"]);
        printed(ask.arg(format!("{}{INRELEASE}", nginx.url)))?;
        Ok(nginx)
    }

    /// Itself and its workers.
    fn processes(&self) -> Result<Vec<u32>> {
        let master = self.child.id();
        let workers = printed(Command::new("pgrep").args(["-P", &master.to_string()]))?;
        Ok(workers.lines().filter_map(|line| line.trim().parse().ok()).chain([master]).collect())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM ends its workers, too.
        let _ = printed(Command::new("kill").arg(self.child.id().to_string()));
        let _ = self.child.wait();
    }
}
