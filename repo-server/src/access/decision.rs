//! Who may do what. Pure: a token's role and suites on one side, an action on the other.

use debian_formats::names::SuiteName;
use fleet_protocol::access::{ReadAccess, Role};
use std::collections::BTreeSet;
use std::fmt;

/// Which suites a token counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Only(BTreeSet<SuiteName>),
}

impl Scope {
    fn contains(&self, suite: &SuiteName) -> bool {
        match self {
            Self::All => true,
            Self::Only(suites) => suites.contains(suite),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all suites"),
            Self::Only(suites) => {
                let names: Vec<&str> = suites.iter().map(SuiteName::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

/// What a token gives its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    pub(crate) scope: Scope,
}

/// Something that needs a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Read a suite that is only for devices, or how a suite is set up.
    Read(&'a SuiteName),
    /// Put packages into a suite.
    Publish(&'a SuiteName),
    /// Put packages into a suite that no package key has signed.
    PublishUnsigned(&'a SuiteName),
    /// Change a suite itself: its access, its existence, what it holds but by publishing.
    ChangeSuite(&'a SuiteName),
    ReadAudit,
    ManageTokens,
    /// See things, groups, shadows, policies and certificates.
    ReadFleet,
    /// Change things, their types and groups, and shadows.
    ManageFleet,
    /// Change who may connect and what they may do: certificates, policies, provisioning, users.
    ManageIdentities,
    /// See users, say which things they see, and make their tokens for MQTT.
    AssignUsers,
}

impl<'a> Action<'a> {
    /// The least role that it takes.
    fn needs(self) -> Role {
        match self {
            Self::Read(_) | Self::ReadFleet => Role::Viewer,
            Self::Publish(_) => Role::Publisher,
            Self::ChangeSuite(_) | Self::ReadAudit | Self::ManageFleet | Self::AssignUsers => Role::Operator,
            Self::ManageTokens | Self::PublishUnsigned(_) | Self::ManageIdentities => Role::Admin,
        }
    }

    fn suite(self) -> Option<&'a SuiteName> {
        match self {
            Self::Read(suite) | Self::Publish(suite) | Self::PublishUnsigned(suite) | Self::ChangeSuite(suite) => {
                Some(suite)
            }
            Self::ReadAudit
            | Self::ManageTokens
            | Self::ReadFleet
            | Self::ManageFleet
            | Self::ManageIdentities
            | Self::AssignUsers => None,
        }
    }

    /// Whether it concerns the fleet, which a token for some suites only has nothing to do with.
    fn concerns_fleet(self) -> bool {
        matches!(self, Self::ReadFleet | Self::ManageFleet | Self::ManageIdentities | Self::AssignUsers)
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(suite) => write!(f, "read the suite {suite}"),
            Self::Publish(suite) => write!(f, "publish in the suite {suite}"),
            Self::PublishUnsigned(suite) => write!(f, "publish unsigned packages in the suite {suite}"),
            Self::ChangeSuite(suite) => write!(f, "change the suite {suite}"),
            Self::ReadAudit => f.write_str("read the audit log"),
            Self::ManageTokens => f.write_str("see, make or revoke tokens"),
            Self::ReadFleet => f.write_str("see the fleet"),
            Self::ManageFleet => f.write_str("change things, groups or shadows"),
            Self::ManageIdentities => f.write_str("change certificates, policies, provisioning or users"),
            Self::AssignUsers => f.write_str("see users, give them things, or make tokens for them"),
        }
    }
}

/// Why a known caller may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    #[error(
        "a token of the role {role} may not {action}; use one of the role {needed}, which an admin makes with `debfleet token create`"
    )]
    Role { role: Role, action: String, needed: Role },
    #[error(
        "the token may not {action}, it counts only for: {scope}; an admin makes others with `debfleet token create`"
    )]
    Suite { action: String, scope: Scope },
}

/// Whether whoever holds this grant may do it.
pub(crate) fn may(grant: &Grant, action: Action<'_>) -> Result<(), Forbidden> {
    if grant.role < action.needs() {
        return Err(Forbidden::Role { role: grant.role, action: action.to_string(), needed: action.needs() });
    }
    match action.suite() {
        Some(suite) if !grant.scope.contains(suite) => {
            Err(Forbidden::Suite { action: action.to_string(), scope: grant.scope.clone() })
        }
        None if action.concerns_fleet() && grant.scope != Scope::All => {
            Err(Forbidden::Suite { action: action.to_string(), scope: grant.scope.clone() })
        }
        _ => Ok(()),
    }
}

/// Who reads the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Nobody knows.
    Stranger,
    /// Whoever holds a client certificate of the fleet CA.
    Device,
    /// Whoever holds such a token.
    Holder(Grant),
}

/// Whether a file of the pool may be read, given the suites that hold its package now. A file that no suite holds any
/// more is read by those who may read every suite: it may have been private, and indexes that name it are still out.
pub(crate) fn may_read_package(reader: &Reader, suites: &[(SuiteName, ReadAccess)]) -> bool {
    if suites.iter().any(|(_, access)| *access == ReadAccess::Public) {
        return true;
    }
    match reader {
        Reader::Stranger => false,
        Reader::Device => true,
        Reader::Holder(grant) if suites.is_empty() => grant.scope == Scope::All,
        Reader::Holder(grant) => suites.iter().any(|(suite, _)| may(grant, Action::Read(suite)).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Role::{Admin, Operator, Publisher, Viewer};

    fn suite(name: &str) -> SuiteName {
        name.parse().unwrap()
    }

    fn limited(role: Role, suites: &[&str]) -> Grant {
        Grant { role, scope: Scope::Only(suites.iter().map(|name| suite(name)).collect()) }
    }

    fn unlimited(role: Role) -> Grant {
        Grant { role, scope: Scope::All }
    }

    #[test]
    fn each_role_may_do_its_own_and_what_those_below_it_may() {
        let stable = suite("stable");
        let actions = [
            (Action::Read(&stable), [true, true, true, true]),
            (Action::Publish(&stable), [false, true, true, true]),
            (Action::ChangeSuite(&stable), [false, false, true, true]),
            (Action::ReadAudit, [false, false, true, true]),
            (Action::ManageTokens, [false, false, false, true]),
            (Action::ReadFleet, [true, true, true, true]),
            (Action::ManageFleet, [false, false, true, true]),
            (Action::ManageIdentities, [false, false, false, true]),
            (Action::AssignUsers, [false, false, true, true]),
        ];
        for (action, expected) in actions {
            let allowed = [Viewer, Publisher, Operator, Admin].map(|role| may(&unlimited(role), action).is_ok());
            assert_eq!(allowed, expected, "{action}");
        }
    }

    #[test]
    fn a_limited_token_counts_for_its_suites_only() {
        let publisher = limited(Publisher, &["stable", "edge"]);
        assert_eq!(may(&publisher, Action::Publish(&suite("edge"))), Ok(()));
        assert_eq!(may(&publisher, Action::Read(&suite("edge"))), Ok(()));
        for action in [Action::Publish(&suite("beta")), Action::Read(&suite("beta"))] {
            let refusal = may(&publisher, action).unwrap_err().to_string();
            assert!(refusal.contains("beta") && refusal.contains("edge, stable"), "{refusal}");
        }
        assert!(may(&limited(Publisher, &[]), Action::Publish(&suite("stable"))).is_err());
        assert!(may(&publisher, Action::ReadFleet).is_err());
    }

    #[test]
    fn a_package_is_as_private_as_the_most_open_suite_that_holds_it() {
        let private = [(suite("inner"), ReadAccess::Devices)];
        let both = [(suite("inner"), ReadAccess::Devices), (suite("stable"), ReadAccess::Public)];
        let reads = |reader: &Reader| [&both[..], &private, &[]].map(|suites| may_read_package(reader, suites));
        assert_eq!(reads(&Reader::Stranger), [true, false, false]);
        assert_eq!(reads(&Reader::Device), [true, true, true]);
        assert_eq!(reads(&Reader::Holder(unlimited(Viewer))), [true, true, true]);
        assert_eq!(reads(&Reader::Holder(limited(Viewer, &["inner"]))), [true, true, false]);
        assert_eq!(reads(&Reader::Holder(limited(Publisher, &["other"]))), [true, false, false]);
    }
}
