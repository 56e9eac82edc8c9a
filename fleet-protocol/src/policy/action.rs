//! What a client may want to do, and sets of it.

use super::pattern::Pattern;
use std::fmt;
use std::str::FromStr;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal on $kind:literal),+ $(,)?) => {
        /// What a client wants to do, by AWS's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name),+
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in a policy.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The type of the resource that it acts on: what stands before the slash in its ARN.
            #[must_use]
            pub fn resource_type(self) -> &'static str {
                match self { $(Self::$name => $kind),+ }
            }
        }
    };
}

actions! {
    /// Connect with a client id.
    Connect = "iot:Connect" on "client",
    /// Publish to a topic; also of the will, when a client connects.
    Publish = "iot:Publish" on "topic",
    /// Publish a retained message, beside [`Action::Publish`].
    RetainPublish = "iot:RetainPublish" on "topic",
    /// Subscribe to a topic filter.
    Subscribe = "iot:Subscribe" on "topicfilter",
    /// Be sent a message on a topic.
    Receive = "iot:Receive" on "topic",
    /// Read one retained message over HTTP.
    GetRetainedMessage = "iot:GetRetainedMessage" on "topic",
    /// List retained messages over HTTP.
    ListRetainedMessages = "iot:ListRetainedMessages" on "topic",
    /// Read a shadow over HTTP. Over MQTT it takes [`Action::Publish`] to its topics.
    GetThingShadow = "iot:GetThingShadow" on "thing",
    /// Change a shadow over HTTP.
    UpdateThingShadow = "iot:UpdateThingShadow" on "thing",
    /// Delete a shadow over HTTP.
    DeleteThingShadow = "iot:DeleteThingShadow" on "thing",
    /// List a thing's named shadows over HTTP.
    ListNamedShadowsForThing = "iot:ListNamedShadowsForThing" on "thing",
    /// Read a job execution over HTTP.
    DescribeJobExecution = "iotjobsdata:DescribeJobExecution" on "thing",
    /// List pending job executions over HTTP.
    GetPendingJobExecutions = "iotjobsdata:GetPendingJobExecutions" on "thing",
    /// Start the next job execution over HTTP.
    StartNextPendingJobExecution = "iotjobsdata:StartNextPendingJobExecution" on "thing",
    /// Report on a job execution over HTTP.
    UpdateJobExecution = "iotjobsdata:UpdateJobExecution" on "thing",
}

/// Actions that policies for AWS name as well and that nobody asks for here.
const WITHOUT_EFFECT: [&str; 3] = ["iot:AssumeRoleWithCertificate", "iot:DeleteConnection", "iot:DescribeCertificate"];

impl Action {
    /// Under which names a policy may speak of it: those of jobs once belonged to `iot`.
    fn names(self) -> impl Iterator<Item = String> {
        let name = self.as_str();
        let older = name.strip_prefix("iotjobsdata:").map(|name| format!("iot:{name}"));
        [Some(name.to_owned()), older].into_iter().flatten()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no action {0:?}; give one such as iot:Publish")]
pub struct UnknownAction(String);

impl FromStr for Action {
    type Err = UnknownAction;

    /// With or without its service, in either case: `iot:Publish`, `publish`.
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let is_named = |action: &&Self| {
            action.names().any(|name| {
                let short = name.split_once(':').map_or("", |(_, short)| short);
                name.eq_ignore_ascii_case(text) || short.eq_ignore_ascii_case(text)
            })
        };
        Self::ALL.iter().find(is_named).copied().ok_or_else(|| UnknownAction(text.chars().take(80).collect()))
    }
}

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
    fn an_action_is_read_with_and_without_its_service() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("publish".parse(), Ok(Action::Publish));
        assert!("iot:*".parse::<Action>().is_err());
        assert!(Action::ALL.len() <= 32, "a set has 32 bits");
    }
}
