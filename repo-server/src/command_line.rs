//! What a person may type.

use clap::{Args, Parser, Subcommand};
use fleet_protocol::access::Role;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Make the data folder, once:
    debfleet-server init --data /srv/debfleet --package-key package.gpg
  Serve on one machine, for a try:
    debfleet-server --data /srv/debfleet --http 127.0.0.1:8080
  Serve a fleet:
    debfleet-server --data /srv/debfleet --https 0.0.0.0:8443 --mqtts 0.0.0.0:8883 --host-name updates.example.org
  Keep tables in PostgreSQL and packages in a bucket, here as in `init`:
    debfleet-server --data /srv/debfleet --database postgres://debfleet@db.example.org/debfleet \
        --storage s3://my-bucket
  Behind a proxy on the same machine, with metrics for Prometheus:
    debfleet-server --data /srv/debfleet --http 127.0.0.1:8080 --trusted-proxies 127.0.0.1 --metrics 127.0.0.1:9180
  With Mosquitto as the fleet's broker, on the same machine:
    debfleet-server --data /srv/debfleet --https 0.0.0.0:8443 --broker mosquitto://mqtt.example.org \
        --broker-folder /srv/mosquitto
  The same from a file, where each flag is a key of the same name:
    debfleet-server --config /etc/debfleet-server/server.toml
  Show each request in the log, as JSON:
    debfleet-server --data /srv/debfleet --http 127.0.0.1:8080 --log info,access=debug --log-format json

A flag wins over its DEBFLEET_SERVER_* variable, a variable over the file.
SIGHUP reads the file, the certificate and the package keys again.";

const INIT_EXAMPLES: &str = "\
Examples:
  With an authority for the fleet that is made here:
    debfleet key new package --out keys
    debfleet-server init --data /srv/debfleet --package-key keys/package.gpg
  With your own, whose key stays in an HSM:
    debfleet-server init --data /srv/debfleet --package-key keys/package.gpg --ca-certificate fleet-ca.pem \
        --ca-sign-command 'openssl dgst -sha256 -engine pkcs11 -keyform engine -sign pkcs11:object=fleet-ca'";

const BACKUP_EXAMPLES: &str = "\
Example:
  debfleet-server backup --data /var/lib/debfleet-server --to /var/backups/debfleet/$(date +%F)";

const RESTORE_EXAMPLES: &str = "\
Example:
  debfleet-server restore --from /var/backups/debfleet/2026-01-31 --data /srv/debfleet
  debfleet-server --data /srv/debfleet --https 0.0.0.0:8443";

const KEY_EXAMPLES: &str = "\
Example:
  debfleet-server key rotate --data /var/lib/debfleet-server
  systemctl reload debfleet-server
  debfleet-server key list --data /var/lib/debfleet-server
  debfleet-server key retire 0123456789ABCDEF0123456789ABCDEF01234567 --data /var/lib/debfleet-server";

const CERTIFICATE_EXAMPLES: &str = "\
Example:
  debfleet-server certificate revoke lamp-1.pem --data /var/lib/debfleet-server
  debfleet-server certificate revoke 5B:3C:90:1F --data /var/lib/debfleet-server
  debfleet-server certificate list --data /var/lib/debfleet-server";

const CLAIM_EXAMPLES: &str = "\
Example:
  debfleet-server claim create 'lamps, first batch' --template lamps --out claim --data /var/lib/debfleet-server";

const TOKEN_EXAMPLES: &str = "\
Example, when the admin token is lost:
  debfleet-server token create --data /var/lib/debfleet-server --role admin";

/// Serves a signed apt repository, and takes in packages that a known key signed.
#[derive(Parser)]
#[command(name = "debfleet-server", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeOptions,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a data folder: keys, database, the suite `stable`, an admin token
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitOptions),
    /// Copy everything that the server knows to another folder; the server may be running
    ///
    /// The folder is laid out as the data folder is. Packages are hard links where it is on the same file system.
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(BackupOptions),
    /// Make a data folder of a backup, comparing every package with its SHA-256
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(RestoreOptions),
    /// Replace the key that signs the repository, while devices go on
    #[command(subcommand, after_help = KEY_EXAMPLES)]
    Key(KeyCommand),
    /// Take a device's client certificate its right to read what is only for devices
    #[command(subcommand, after_help = CERTIFICATE_EXAMPLES)]
    Certificate(CertificateCommand),
    /// Make claim certificates, which devices come into the fleet with
    #[command(subcommand)]
    Claim(ClaimCommand),
    /// Make tokens on the server itself, for when no admin token is at hand
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print its secret, once; the server may be running
    ///
    /// Whoever may write into the data folder may do this. Tokens with other limits are made over the API:
    /// `debfleet token create`.
    #[command(after_help = TOKEN_EXAMPLES)]
    Create(TokenOptions),
}

#[derive(Subcommand)]
pub(crate) enum ClaimCommand {
    /// Make a key and a certificate that devices of a template come with; the server may be running
    ///
    /// Whoever may write into the data folder may do this. `debfleet provisioning claim create` does the same over the API.
    #[command(after_help = CLAIM_EXAMPLES)]
    Create(ClaimOptions),
}

#[derive(Args)]
pub(crate) struct ClaimOptions {
    /// Which devices will come with it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The provisioning template that they are registered by
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: String,
    /// Folder for claim.key, claim.pem and fleet-ca.pem; no file in it is overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// So many days it counts [default: two years]
    #[arg(long, value_name = "DAYS")]
    pub(crate) days: Option<u32>,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys that sign, the oldest first, and those that did
    List(DataOptions),
    /// Make a new key that signs beside the old one
    ///
    /// The server, if it runs, takes it when it gets SIGHUP. Then InRelease and Release.gpg carry both signatures, and the
    /// keyring and the .sources files that it serves hold both keys.
    Rotate(DataOptions),
    /// Have a key sign no more; the last one stays
    ///
    /// Devices that know no other key refuse the repository from then on. The secret half is kept in the data folder.
    Retire(RetireOptions),
}

#[derive(Subcommand)]
pub(crate) enum CertificateCommand {
    /// List the certificates that were revoked
    List(DataOptions),
    /// Have a certificate count no longer, at once and for good; the server may be running
    Revoke(RevokeOptions),
}

#[derive(Args)]
pub(crate) struct RevokeOptions {
    /// Its serial number in hex, or a file that holds it
    #[arg(value_name = "SERIAL|FILE")]
    pub(crate) certificate: String,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

/// Which server's data a command is about.
#[derive(Args)]
pub(crate) struct DataOptions {
    /// Data folder, made by `debfleet-server init`
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_DATA")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) backends: BackendOptions,
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Where a command makes a server's data.
#[derive(Args)]
pub(crate) struct NewDataOptions {
    /// Data folder to make; it must be absent or empty
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_DATA")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) backends: BackendOptions,
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

impl From<NewDataOptions> for DataOptions {
    fn from(NewDataOptions { data, backends, config }: NewDataOptions) -> Self {
        Self { data, backends, config }
    }
}

#[derive(Args)]
pub(crate) struct RetireOptions {
    /// The key, as `key list` shows it
    #[arg(value_name = "FINGERPRINT")]
    pub(crate) fingerprint: String,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

#[derive(Args)]
pub(crate) struct BackupOptions {
    /// Folder to make; it must be absent or empty. It will hold the secret keys
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataOptions,
}

#[derive(Args)]
pub(crate) struct RestoreOptions {
    /// Folder that `debfleet-server backup` made
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) data: NewDataOptions,
}

#[derive(Args)]
pub(crate) struct TokenOptions {
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// What its holder may do: admin, operator, publisher or viewer
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Role,
    /// Who or what will hold it
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) name: String,
}

#[derive(Args)]
pub(crate) struct InitOptions {
    #[command(flatten)]
    pub(crate) data: NewDataOptions,
    /// Public keyring of a key whose packages are taken in; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) package_key: Vec<PathBuf>,
    /// Certificate (PEM) of an authority of your own for the fleet, in place of one that is made
    #[arg(long, value_name = "FILE", requires = "ca_signer")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// Its private key (PEM), which is copied into the data folder
    #[arg(long, value_name = "FILE", requires = "ca_certificate", group = "ca_signer")]
    pub(crate) ca_key: Option<PathBuf>,
    /// Shell command that signs with its key what it gets on its standard input, for a key that lies elsewhere
    #[arg(long, value_name = "COMMAND", requires = "ca_certificate", group = "ca_signer")]
    pub(crate) ca_sign_command: Option<String>,
}

/// Where tables and packages lie, if not in the data folder.
#[derive(Args)]
pub(crate) struct BackendOptions {
    /// PostgreSQL database in place of SQLite, such as postgres://debfleet@db.example.org/debfleet
    #[arg(long, value_name = "URL", env = "DEBFLEET_SERVER_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// Bucket for packages in place of the data folder, such as s3://my-bucket/debfleet; credentials as AWS_* variables
    #[arg(long, value_name = "BUCKET", env = "DEBFLEET_SERVER_STORAGE")]
    pub(crate) storage: Option<String>,
    /// Store that has the bucket, if it is not Amazon's, such as https://minio.example.org:9000
    #[arg(long, value_name = "URL", env = "DEBFLEET_SERVER_STORAGE_ENDPOINT")]
    pub(crate) storage_endpoint: Option<String>,
    /// The bucket's region
    #[arg(long, value_name = "REGION", env = "DEBFLEET_SERVER_STORAGE_REGION")]
    pub(crate) storage_region: Option<String>,
}

/// Which broker carries the fleet's messages, if not this server.
#[derive(Args)]
pub(crate) struct BrokerOptions {
    /// Have another broker carry MQTT in place of this server: mosquitto://HOST[:PORT] or aws://ENDPOINT[:PORT]
    #[arg(long, value_name = "BROKER", env = "DEBFLEET_SERVER_BROKER")]
    pub(crate) broker: Option<String>,
    /// Folder in which Mosquitto's configuration, its list of rights and its certificates are kept up to date
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_BROKER_FOLDER")]
    pub(crate) broker_folder: Option<PathBuf>,
    /// Port on which Mosquitto shall take MQTT over WebSocket, too
    #[arg(long, value_name = "PORT", env = "DEBFLEET_SERVER_BROKER_WEBSOCKETS")]
    pub(crate) broker_websockets: Option<u16>,
    /// Authorities (PEM) of the broker's certificate [default: the fleet CA; for aws the system's]
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_BROKER_CA")]
    pub(crate) broker_ca: Option<PathBuf>,
    /// Certificate (PEM) that AWS IoT Core knows this server by; Mosquitto is shown one of the fleet CA
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_BROKER_CERT")]
    pub(crate) broker_cert: Option<PathBuf>,
    /// Private key (PEM) of --broker-cert
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_BROKER_KEY")]
    pub(crate) broker_key: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Data folder, made by `debfleet-server init`
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Serve plain HTTP here; beyond loopback it carries only the repository
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_HTTP")]
    pub(crate) http: Option<String>,
    /// Serve HTTPS here [default: 0.0.0.0:8443, unless --http or --mqtts is given]
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_HTTPS")]
    pub(crate) https: Option<String>,
    /// Serve MQTT over TLS here, for devices with a certificate [default: 0.0.0.0:8883, unless --http or --https is given]
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_MQTTS")]
    pub(crate) mqtts: Option<String>,
    /// Clients of MQTT 5 that ask for what they may not do: disconnect, or refuse with a reason-code [default: disconnect]
    #[arg(long, value_name = "WHAT", env = "DEBFLEET_SERVER_MQTT_VIOLATIONS")]
    pub(crate) mqtt_violations: Option<String>,
    #[command(flatten)]
    pub(crate) broker: BrokerOptions,
    /// Serve /metrics, /healthz and /readyz here, over plain HTTP
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_METRICS")]
    pub(crate) metrics: Option<String>,
    /// Certificate chain (PEM) for HTTPS, in place of one from the fleet CA
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Further name or address for the certificate from the fleet CA; may be given several times
    #[arg(long, value_name = "NAME", env = "DEBFLEET_SERVER_HOST_NAME", value_delimiter = ',')]
    pub(crate) host_name: Vec<String>,
    /// Largest package that is taken in, in MiB [default: 2048]
    #[arg(long, value_name = "MIB", env = "DEBFLEET_SERVER_MAX_UPLOAD")]
    pub(crate) max_upload: Option<u64>,
    #[command(flatten)]
    pub(crate) backends: BackendOptions,
    /// Send clients to the bucket for packages, by URLs that hold for ten minutes
    #[arg(long, env = "DEBFLEET_SERVER_STORAGE_REDIRECT", num_args = 0..=1, default_missing_value = "true",
        require_equals = true, value_name = "true|false")]
    pub(crate) storage_redirect: Option<bool>,
    /// Address or network of a proxy whose X-Forwarded-For and -Proto are believed; may be given several times
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<String>,
    /// Origin of web pages that may speak MQTT with this server besides its own, such as https://app.example.org; may be
    /// given several times
    #[arg(long, value_name = "ORIGIN", env = "DEBFLEET_SERVER_WEB_ORIGIN", value_delimiter = ',')]
    pub(crate) web_origin: Vec<String>,
    /// What to log: error, warn, info, debug, or info,access=debug for every request [default: RUST_LOG, or info]
    #[arg(long, value_name = "LEVEL", env = "DEBFLEET_SERVER_LOG")]
    pub(crate) log: Option<String>,
    /// How to log to stderr: text or json [default: text]
    #[arg(long, value_name = "FORMAT", env = "DEBFLEET_SERVER_LOG_FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}
