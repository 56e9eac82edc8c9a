//! Tells and hears what the shadows carry, over whatever connection there is.

use super::attempt::{Attempts, Outcome};
use super::line::{Line, News};
use super::shadow::{Heard, Message, Mirror};
use super::{Applied, Device, Standing};
use crate::broker::{Contact, Shown, options};
use crate::identity::{self, Identity, Store};
use anyhow::{Context, Result};
use fleet_protocol::names::{NameError, ThingName};
use fleet_protocol::shadow::PACKAGES;
use fleet_protocol::update_document::UpdateDocument;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// How often a device that cannot connect at all as it is set up looks whether that has changed.
const UNREADY_WAIT: Duration = Duration::from_secs(300);
/// How often it is looked whether the certificate ends soon.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Where the updater reports where it stands, and takes wishes.
const UPDATER: &str = "debfleet";

/// What a connection to the fleet rests on.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) contact: Contact,
    /// The device's name, where no identity says it: a local broker's bridge has that.
    pub(crate) thing: Option<ThingName>,
    pub(crate) store: Store,
    /// Where the last wish and its end are kept.
    pub(crate) attempt: PathBuf,
    /// How the certificate is renewed; none: by whoever brought it.
    pub(crate) renewal: Option<identity::Settings>,
}

/// Keeps the device connected until the process ends. `changed` says that the device may have changed.
pub(crate) async fn keep(settings: Settings, device: Arc<dyn Device>, mut changed: watch::Receiver<()>) -> Infallible {
    let mut told = false;
    loop {
        renew_if_due(&settings).await;
        match Session::begin(&settings, &device) {
            Ok(Some(session)) => match session.keep_up(&mut changed).await {
                // There is another identity, or should be.
                Ok(()) => continue,
                Err(error) => tracing::error!("{error:#}"),
            },
            Ok(None) if told => {}
            Ok(None) => {
                told = true;
                tracing::info!(
                    "this device has no identity yet, so it asks no broker; `debfleet-updater provision` makes one"
                );
            }
            Err(error) => tracing::error!("{error:#}"),
        }
        tokio::time::sleep(UNREADY_WAIT).await;
    }
}

/// While the line is closed: the broker takes one client of a name at a time.
async fn renew_if_due(settings: &Settings) {
    let Some(renewal) = settings.renewal.clone() else { return };
    let Ok(Some(identity)) = settings.store.identity() else { return };
    if !identity::is_due(&identity.certificate, Timestamp::now()) {
        return;
    }
    match tokio::task::spawn_blocking(move || identity::renew(&renewal)).await {
        Ok(Ok(())) => tracing::info!("the device's certificate was renewed"),
        Ok(Err(error)) => tracing::error!("could not renew the device's certificate, the old one stays: {error}"),
        Err(error) => tracing::error!("the renewal of the device's certificate broke off: {error}"),
    }
}

/// One identity of the device, over all its connections.
struct Session {
    device: Arc<dyn Device>,
    store: Store,
    identity: Option<Identity>,
    renews: bool,
    line: Line,
    packages: Mirror,
    updater: Mirror,
    /// Subscriptions of this connection that are not confirmed yet.
    unconfirmed: usize,
    attempts: Attempts,
    /// What the server wishes, whether or not it was tried.
    wish: Option<Value>,
    /// What the device was found to be at last.
    standing: Option<Standing>,
    /// The look at the device under way.
    looking: Option<JoinHandle<Result<Option<Standing>>>>,
    /// The update under way that the server wished.
    updating: Option<JoinHandle<Result<Applied>>>,
}

impl Session {
    /// None if the device has no identity yet.
    fn begin(settings: &Settings, device: &Arc<dyn Device>) -> Result<Option<Self>> {
        let Settings { contact, thing, store, attempt, .. } = settings;
        let identity = store.identity()?;
        let of_identity = identity.as_ref().map(|identity| identity.thing.clone());
        let Some(thing) = thing.clone().or(of_identity) else { return Ok(None) };
        let shown = identity.as_ref().map(|Identity { certificate, key, .. }| Shown { certificate, key });
        let mut options = options(contact, thing.as_str(), shown.as_ref())?;
        // What was sent while the device was away reaches it when it is back.
        options.set_clean_session(false);
        let shadow = |name: &str| Ok::<_, NameError>(Mirror::new(&thing, &name.parse()?));
        Ok(Some(Self {
            line: Line::open(options, contact.clone()),
            attempts: Attempts::open(attempt),
            packages: shadow(PACKAGES)?,
            updater: shadow(UPDATER)?,
            device: device.clone(),
            store: store.clone(),
            identity,
            renews: settings.renewal.is_some(),
            unconfirmed: 0,
            wish: None,
            standing: None,
            looking: None,
            updating: None,
        }))
    }

    /// Stays connected as long as the device is who it was.
    async fn keep_up(mut self, changed: &mut watch::Receiver<()>) -> Result<()> {
        self.look();
        let mut renewal = tokio::time::interval(RENEWAL_INTERVAL);
        // The first passes at once, and whoever began this session has just looked.
        renewal.tick().await;
        loop {
            tokio::select! {
                news = self.line.next() => match news {
                    News::Connected => self.on_connection()?,
                    News::Subscribed => self.on_subscription()?,
                    News::Message { topic, payload } => self.on_message(&topic, &payload)?,
                    News::Tick => {
                        self.ask_again()?;
                        self.look();
                    }
                    News::Lost => {
                        if self.store.identity()? != self.identity {
                            return Ok(());
                        }
                    }
                },
                _ = renewal.tick() => {
                    let ends = |identity: &Identity| identity::is_due(&identity.certificate, Timestamp::now());
                    if self.renews && self.identity.as_ref().is_some_and(ends) {
                        return Ok(());
                    }
                }
                Ok(()) = changed.changed() => self.look(),
                looked = ended(&mut self.looking) => {
                    self.looking = None;
                    if let Some(standing) = looked?.context("could not look where the device stands")? {
                        self.standing = Some(standing);
                    }
                    // What had to wait may have its time now.
                    self.consider()?;
                    self.report()?;
                }
                applied = ended(&mut self.updating) => {
                    self.updating = None;
                    self.on_applied(applied?)?;
                }
            }
        }
    }

    fn on_connection(&mut self) -> Result<()> {
        let subscriptions = [self.packages.topics(), self.updater.topics()];
        self.unconfirmed = subscriptions.len();
        subscriptions.into_iter().try_for_each(|topics| self.line.subscribe(topics))
    }

    fn on_subscription(&mut self) -> Result<()> {
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if self.unconfirmed == 0 {
            let questions = [self.packages.ask(), self.updater.ask()];
            questions.into_iter().try_for_each(|question| self.send(question))?;
        }
        Ok(())
    }

    /// What was not answered for an interval.
    fn ask_again(&mut self) -> Result<()> {
        if self.unconfirmed > 0 {
            return Ok(());
        }
        let questions = [self.packages.ask_again(), self.updater.ask_again()];
        questions.into_iter().flatten().try_for_each(|question| self.send(question))
    }

    fn on_message(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let heard = match self.packages.hear(topic, payload) {
            // It is the device that knows what is installed.
            Some(Heard::Wanted(_)) => Some(Heard::Settled),
            Some(heard) => Some(heard),
            None => self.updater.hear(topic, payload),
        };
        match heard {
            Some(Heard::Wanted(wanted)) => {
                self.wish = wanted.get("update").cloned();
                self.consider()?;
            }
            Some(Heard::Refused(reason)) => tracing::warn!("the server refused {topic}: {reason}"),
            Some(Heard::Settled | Heard::Nothing) | None => {}
        }
        self.report()
    }

    /// Looks where the device stands, beside all else.
    fn look(&mut self) {
        if self.looking.is_none() {
            let (device, before) = (self.device.clone(), self.standing.clone());
            self.looking = Some(tokio::task::spawn_blocking(move || device.look(before.as_ref())));
        }
    }

    /// Begins what the server wishes, unless it was tried.
    fn consider(&mut self) -> Result<()> {
        let (Some(wish), None) = (self.wish.clone(), &self.updating) else { return Ok(()) };
        let interrupted = match self.attempts.last() {
            Some(last) if last.update == wish && last.outcome.is_some() => return Ok(()),
            Some(last) if last.update == wish => Some(last.at),
            _ => None,
        };
        let document = match serde_json::from_value::<UpdateDocument>(wish.clone()) {
            Ok(document) => document,
            Err(error) => {
                self.attempts.begin(&wish, Timestamp::now())?;
                return Ok(self.attempts.end(Outcome::rejected(&error.to_string()))?);
            }
        };
        if interrupted.is_none() {
            tracing::info!("the fleet's server wishes an update: {wish}");
            self.attempts.begin(&wish, Timestamp::now())?;
        }
        let device = self.device.clone();
        self.updating = Some(tokio::task::spawn_blocking(move || device.apply(&document, interrupted)));
        Ok(())
    }

    fn on_applied(&mut self, applied: Result<Applied>) -> Result<()> {
        match applied {
            Ok(Applied::NotNow(reason)) => {
                tracing::info!("the update that the fleet's server wishes has to wait: {reason}");
                self.attempts.forget()?;
            }
            Ok(Applied::GoesOn) => {}
            Ok(Applied::Ended(outcome)) => self.attempts.end(outcome)?,
            Err(error) => self.attempts.end(Outcome::failed(&format!("{error:#}")))?,
        }
        self.look();
        self.report()
    }

    /// Sends what the server does not know yet.
    fn report(&mut self) -> Result<()> {
        let Some(standing) = &self.standing else { return Ok(()) };
        let packages = self.packages.report(&standing.packages);
        let updater: Map<String, Value> = standing.updater.clone().into_iter().chain(self.attempts.report()).collect();
        let updater = self.updater.report(&updater);
        packages.into_iter().chain(updater).try_for_each(|message| self.send(message))
    }

    fn send(&self, message: Message) -> Result<()> {
        self.line.publish(message.topic, message.payload)
    }
}

/// Waits for the end of a task, or for ever if there is none.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}
