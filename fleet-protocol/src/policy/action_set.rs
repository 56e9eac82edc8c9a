//! Which actions an entry of a policy means.

use super::action::Action;
use super::pattern::Pattern;

/// Actions that policies for AWS name as well and that nobody asks for here.
const WITHOUT_EFFECT: [&str; 3] = ["iot:AssumeRoleWithCertificate", "iot:DeleteConnection", "iot:DescribeCertificate"];

/// Some of the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ActionSet(u32);

impl ActionSet {
    pub(super) fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn complement(self) -> Self {
        Self(!self.0)
    }

    /// What an entry of a policy's `Action` means, such as `iot:Publish` or `iot:*ThingShadow`. Nothing if it is no
    /// action: a misspelt one would be a licence, or worse a prohibition, that does not hold.
    pub(super) fn named(entry: &str) -> Option<Self> {
        let lower = entry.to_ascii_lowercase();
        if lower == "*" {
            return Some(Self(u32::MAX));
        }
        let (service, name) = lower.split_once(':')?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-*?".contains(&byte);
        if service.is_empty() || name.is_empty() || !service.bytes().chain(name.bytes()).all(known) {
            return None;
        }
        let pattern = Pattern::of_wildcards(&lower);
        let is_meant = |name: &str| pattern.is_match(&name.to_ascii_lowercase());
        let mut set = Self::default();
        for action in Action::ALL.iter().filter(|action| action.names().any(|name| is_meant(&name))) {
            set.0 |= 1 << *action as u32;
        }
        // What other services of AWS offer is granted there and means nothing here.
        let is_ours = ["iot", "iotjobsdata"].iter().any(|ours| Pattern::of_wildcards(service).is_match(ours));
        let is_known = set != Self::default() || WITHOUT_EFFECT.iter().any(|name| is_meant(name));
        (is_known || !is_ours).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(entry: &str) -> Option<Vec<Action>> {
        let set = ActionSet::named(entry)?;
        Some(Action::ALL.iter().copied().filter(|action| set.contains(*action)).collect())
    }

    #[test]
    fn an_entry_means_the_actions_that_it_names() {
        use Action as A;
        assert_eq!(meant("iot:Publish"), Some(vec![A::Publish]));
        assert_eq!(meant("IOT:publish"), Some(vec![A::Publish]), "IAM compares without case");
        assert_eq!(meant("iot:*Publish"), Some(vec![A::Publish, A::RetainPublish]));
        assert_eq!(meant("iot:???ThingShadow"), Some(vec![A::GetThingShadow]));
        assert_eq!(meant("iot:UpdateJobExecution"), Some(vec![A::UpdateJobExecution]));
        assert_eq!(meant("iotjobsdata:UpdateJobExecution"), Some(vec![A::UpdateJobExecution]));
        assert_eq!(meant("*").map(|all| all.len()), Some(Action::ALL.len()));
        assert_eq!(meant("iot:*").map(|all| all.len()), Some(Action::ALL.len()));
        for harmless in ["greengrass:*", "iot:AssumeRoleWithCertificate", "s3:GetObject"] {
            assert_eq!(meant(harmless), Some(vec![]), "{harmless}");
        }
        for bad in
            ["iot:Pubish", "iot:Publish ", "Publish", "iot:", ":Publish", "iot:Get*Thing", "", "iot:*q*", "i*:Foo"]
        {
            assert_eq!(meant(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_set_has_room_for_all() {
        assert!(Action::ALL.len() <= 32, "it has 32 bits");
    }
}
