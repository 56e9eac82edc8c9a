//! A web page with mqtt.js in a real browser, and the web application whose page it is.

use super::{House, LISTENERS};
use crate::people::anna;
use crate::running::{Answer, agent_trusting};
use fleet_protocol::people::{user_mqtt_tokens_path, user_path};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long a page may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The web application's server: it gives out the page, makes tokens for its user, and is told what happens.
struct WebApplication {
    library: Vec<u8>,
    ask: Box<dyn Fn(&str) -> String + Send + Sync>,
    told: Sender<Value>,
}

impl WebApplication {
    fn serve(self, listener: TcpListener) {
        let this = Arc::new(self);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let this = this.clone();
                // A browser opens connections that it does not use, and closes them.
                std::thread::spawn(move || this.answer(&stream.unwrap()));
            }
        });
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let (kind, content) = match head.split(' ').nth(1)? {
            "/" => ("text/html", include_bytes!("page.html").to_vec()),
            "/mqtt.min.js" => ("text/javascript", self.library.clone()),
            "/watch.js" => ("text/javascript", documented().into_bytes()),
            "/told" => {
                let _ = self.told.send(serde_json::from_slice(&body).unwrap());
                ("application/json", b"{}".to_vec())
            }
            path => ("application/json", (self.ask)(path.strip_prefix("/token/")?).into_bytes()),
        };
        let length = content.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let mut stream = stream;
        stream.write_all(&[head.as_bytes(), &content].concat()).ok()
    }
}

/// The function that docs/people.md shows.
fn documented() -> String {
    let text = include_str!("../../../../../docs/people.md");
    let (_, code) = text.split_once("```js\n").unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

struct Browser(Child);

impl Browser {
    fn open(address: &str, profile: &Path) -> Self {
        let mut chromium = Command::new("chromium");
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        // The fleet's own authority is not among the browser's; and without this port it would end at once.
        chromium.args(["--ignore-certificate-errors", "--remote-debugging-port=0"]);
        chromium.arg(format!("--user-data-dir={}", profile.display())).arg(address);
        Self(chromium.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn next(told: &Receiver<Value>) -> String {
    told.recv_timeout(PATIENCE).expect("the page tells something").to_string()
}

#[test]
fn a_page_with_mqtt_js_watches_its_users_lamp_in_a_browser() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/mqttjs/dist/mqtt.min.js");
    let library = std::fs::read(&library)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask test` fetches it", library.display()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let house = House::with("operator", &[&LISTENERS[..], &["--web-origin", &origin]].concat());
    let authority = std::fs::read_to_string(house.site.data.join("fleet-ca.pem")).unwrap();
    let (agent, bearer) = (agent_trusting(&authority), format!("Bearer {}", house.site.token));
    let tokens = format!("https://localhost:{}{}", house.server.port("https"), user_mqtt_tokens_path(&anna()));
    let ask = move |seconds: &str| {
        let request = agent.post(format!("{tokens}?lifetimeSeconds={seconds}")).header("Authorization", &bearer);
        match request.send_empty() {
            Ok(answer) => Answer::of(Ok(answer)).text(),
            // The user is disabled by then, or the server gone.
            Err(_) => "{}".to_owned(),
        }
    };
    let (sender, told) = channel();
    WebApplication { library, ask: Box::new(ask), told: sender }.serve(listener);
    let folder = tempfile::tempdir().unwrap();
    let _browser = Browser::open(&origin, folder.path());

    let wanted: BTreeSet<String> = [
        json!(["refused", "Subscribe error: Not authorized"]),
        json!(["refused", 135]),
        json!(["heard", "$aws/things/lamp-1/shadow/update/documents"]),
        json!(["ready"]),
        json!(["came back"]),
        json!(["not let in", 134]),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let mut found = BTreeSet::new();
    while found.len() < wanted.len() {
        let event = next(&told);
        eprintln!("{event}");
        assert!(wanted.contains(&event), "{event}");
        found.insert(event);
    }
    house.speak(&[1, 0], "21");
    assert_eq!(next(&told), json!(["heard", "sensor/device/lamp-1"]).to_string());
    assert_eq!(house.server.ask_to_patch(&user_path(&anna()), json!({ "enabled": false })).status, 200);
    assert_eq!(next(&told), json!(["disconnected", 152]).to_string());
}
