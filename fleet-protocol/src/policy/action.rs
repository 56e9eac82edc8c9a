//! What a client may want to do.

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

impl Action {
    /// Under which names a policy may speak of it: those of jobs once belonged to `iot`.
    pub(super) fn names(self) -> impl Iterator<Item = String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_with_and_without_its_service() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("publish".parse(), Ok(Action::Publish));
        assert!("iot:*".parse::<Action>().is_err());
    }
}
