//! Why settings cannot be used.

use super::MOST_MIB;
use crate::logging::{UnknownFormat, WrongFilter};
use crate::proxies::WrongProxy;
use crate::web_origins::WrongOrigin;
use std::io;
use std::path::PathBuf;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("could not read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is wrong.
    #[error("configuration file {path}, line {line}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Nobody said where the data is.
    #[error("no data folder given; use --data DIR, DEBFLEET_SERVER_DATA, or `data` in the configuration file")]
    NoData,
    /// An address that is none.
    #[error(
        "{option} {text:?} is not an address to listen on ({reason}); write for example 127.0.0.1:8080 or [::]:8443"
    )]
    Address {
        /// `http`, `https`, `mqtts` or `metrics`.
        option: &'static str,
        /// As given.
        text: String,
        /// Why.
        reason: String,
    },
    /// Half of a pair.
    #[error("tls-cert and tls-key belong together; give both, or neither for a certificate from the fleet CA")]
    HalfCertificate,
    /// A name that no certificate can carry.
    #[error("host-name {0:?} is neither a host name such as updates.example.org nor an address such as 192.0.2.1")]
    HostName(String),
    /// A bound that cannot be kept.
    #[error("max-upload {0} is not a size from 1 to {max} MiB", max = MOST_MIB)]
    MaxUpload(u64),
    /// A word that says nothing.
    #[error("mqtt-violations {0:?} is not known; write disconnect or reason-code")]
    Violations(String),
    /// A broker that is none.
    #[error(
        "broker {0:?} is not one that is known; write for example mosquitto://mqtt.example.org:8883 or \
         aws://a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com, or leave it out for this server's own"
    )]
    Broker(String),
    /// Two brokers.
    #[error("mqtts is given, but broker says that another one carries MQTT; leave out one of them")]
    TwoBrokers,
    /// A setting of a broker without one.
    #[error("{0} is given, but this server is the broker itself; add broker")]
    WithoutBroker(&'static str),
    /// A setting that stands in files that are not written.
    #[error("{0} is given, but Mosquitto's configuration is not written anywhere; add broker-folder")]
    OnlyWithBrokerFolder(&'static str),
    /// A setting of another broker.
    #[error("broker-folder and broker-websockets are for Mosquitto; leave them out")]
    OnlyForMosquitto,
    /// A setting of another broker.
    #[error("broker-cert and broker-key are for AWS IoT Core; Mosquitto is shown a certificate of the fleet CA")]
    OnlyForAws,
    /// Half of a pair.
    #[error("broker-cert and broker-key belong together; give both")]
    HalfBrokerIdentity,
    /// A client that could not say who it is.
    #[error("AWS IoT Core knows this server by a certificate that was made there; give broker-cert and broker-key")]
    AwsWithoutIdentity,
    /// A proxy that is no address.
    #[error(transparent)]
    Proxy(#[from] WrongProxy),
    /// An origin that is none.
    #[error(transparent)]
    Origin(#[from] WrongOrigin),
    /// Levels that cannot be understood.
    #[error(transparent)]
    Log(#[from] WrongFilter),
    /// A format that does not exist.
    #[error(transparent)]
    LogFormat(#[from] UnknownFormat),
    /// A certificate nobody would see.
    #[error("tls-cert is given, but only plain HTTP is served; add https or mqtts")]
    CertificateWithoutTls,
    /// A database that is none.
    #[error(
        "database is not the URL of a PostgreSQL database ({0}); write for example \
         postgres://debfleet:PASSWORD@db.example.org/debfleet, or leave it out for SQLite in the data folder"
    )]
    Database(String),
    /// A bucket that is none.
    #[error(
        "storage {0:?} is not a bucket; write for example s3://my-bucket or s3://my-bucket/debfleet, or leave it out \
         for the data folder"
    )]
    Storage(String),
    /// An endpoint that is none.
    #[error("storage-endpoint {0:?} is not the URL of a store; write for example https://minio.example.org:9000")]
    Endpoint(String),
    /// Half of a pair.
    #[error(
        "storage-access-key-id and storage-secret-access-key belong together; give both, or neither for AWS_* variables"
    )]
    HalfCredentials,
    /// A setting of a bucket without one.
    #[error("{0} is given, but packages lie in the data folder; add storage")]
    WithoutStorage(&'static str),
}
