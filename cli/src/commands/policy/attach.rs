//! `debfleet policy attach` and `detach`: for whom a policy counts.

use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result};
use clap::Args;
use fleet_protocol::access::Role;
use fleet_protocol::names::{CertificateId, GroupName, PolicyName, UserName};
use fleet_protocol::policies::{PolicyTarget, policy_target_path};
use serde_json::Value;

/// Attaches a policy to a certificate, to a thing group, whose things and child groups it counts for, or to people. It holds
/// at once.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet policy attach sensors --group lamps\n  \
                  debfleet policy attach gateway --certificate 94edb1639ec8…\n  \
                  debfleet policy attach dashboards --role viewer")]
pub(crate) struct AttachArguments {
    #[command(flatten)]
    which: Which,
}

/// Detaches a policy from a certificate, a thing group or people. It holds at once.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet policy detach sensors --group lamps")]
pub(crate) struct DetachArguments {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// The policy
    #[arg(value_name = "NAME")]
    name: PolicyName,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// A certificate's id
    #[arg(long, value_name = "ID")]
    certificate: Option<CertificateId>,
    /// A thing group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// The users of a role and of the mightier ones: viewer, publisher, operator or admin
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// A user
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
}

impl Target {
    fn named(&self) -> Option<PolicyTarget> {
        let certificate = self.certificate.clone().map(|id| PolicyTarget::Certificate { id });
        certificate
            .or_else(|| self.group.clone().map(|name| PolicyTarget::Group { name }))
            .or_else(|| self.role.map(|role| PolicyTarget::Role { role }))
            .or_else(|| self.user.clone().map(|name| PolicyTarget::User { name }))
    }
}

pub(crate) fn attach(arguments: &AttachArguments) -> Result<()> {
    let Which { name, target, server } = &arguments.which;
    let target = target.named().context("none of --certificate, --group, --role and --user is given")?;
    let server = server.connect()?;
    let _: PolicyTarget = server
        .put(&policy_target_path(name, &target), &Value::Null)
        .with_context(|| format!("could not attach the policy {name} on {}", server.address()))?;
    report::result(&printable(&format!("the policy {name} is attached to {target}")))
}

pub(crate) fn detach(arguments: &DetachArguments) -> Result<()> {
    let Which { name, target, server } = &arguments.which;
    let target = target.named().context("none of --certificate, --group, --role and --user is given")?;
    let server = server.connect()?;
    let _: PolicyTarget = server
        .delete(&policy_target_path(name, &target))
        .with_context(|| format!("could not detach the policy {name} on {}", server.address()))?;
    report::result(&printable(&format!("the policy {name} is not attached to {target}")))
}
