//! `debfleet thing attach` and `detach`.

use crate::report;
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::things::{Done, principal_path};

/// Has a certificate speak for a thing. It takes an admin's token.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet thing attach lamp-1 CERTIFICATE-ID")]
pub(crate) struct Attach {
    #[command(flatten)]
    both: Both,
}

/// Has a certificate speak for a thing no longer. It takes an admin's token.
#[derive(Args)]
#[command(
    after_help = "Example:\n  debfleet thing detach lamp-1 CERTIFICATE-ID\n\n`debfleet thing show` tells the ids."
)]
pub(crate) struct Detach {
    #[command(flatten)]
    both: Both,
}

#[derive(Args)]
struct Both {
    /// The thing
    #[arg(value_name = "NAME")]
    thing: ThingName,
    /// The certificate's id, 64 hex digits
    #[arg(value_name = "CERTIFICATE-ID")]
    certificate: CertificateId,
    #[command(flatten)]
    server: ServerOptions,
}

pub(crate) fn attach(Attach { both }: &Attach) -> Result<()> {
    let Both { thing, certificate, server } = both;
    let server = server.connect()?;
    let Done { changed } = server
        .put(&principal_path(thing, certificate), &())
        .with_context(|| format!("could not attach {certificate} to the thing {thing} on {}", server.address()))?;
    let already = if changed { "" } else { " (it did already)" };
    report::result(&format!("{certificate} speaks for {thing}{already}"))
}

pub(crate) fn detach(Detach { both }: &Detach) -> Result<()> {
    let Both { thing, certificate, server } = both;
    let server = server.connect()?;
    let Done { changed } = server
        .delete(&principal_path(thing, certificate))
        .with_context(|| format!("could not detach {certificate} from the thing {thing} on {}", server.address()))?;
    let already = if changed { "" } else { " (it did not before)" };
    report::result(&format!("{certificate} speaks for {thing} no longer{already}"))
}
