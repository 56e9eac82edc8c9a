//! Topic aliases (MQTT 5 §3.3.2.3.4): numbers by which a client names topics that it has named before.

use crate::broker::wire::{DisconnectReasonCode, Publish};

/// AWS: topic aliases of a connection.
pub(super) const MOST_ALIASES: u16 = 8;

/// What the numbers stand for; it holds memory only for those in use.
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<(u16, String)>);

impl Aliases {
    /// Gives a message its topic.
    pub(super) fn resolve(&mut self, publish: &mut Publish) -> Result<(), DisconnectReasonCode> {
        let alias = publish.properties.as_mut().and_then(|properties| properties.topic_alias.take());
        let Some(alias) = alias else {
            // MQTT 5 §3.3.2.1: a topic is there, or else its alias.
            return if publish.topic.is_empty() { Err(DisconnectReasonCode::ProtocolError) } else { Ok(()) };
        };
        if alias.get() > MOST_ALIASES {
            return Err(DisconnectReasonCode::TopicAliasInvalid);
        }
        let known = self.0.iter_mut().find(|(number, _)| *number == alias.get());
        match (known, publish.topic.is_empty()) {
            (Some((_, topic)), true) => publish.topic = topic.clone().into(),
            (None, true) => return Err(DisconnectReasonCode::TopicAliasInvalid),
            (Some((_, topic)), false) => *topic = publish.topic.to_string(),
            (None, false) => self.0.push((alias.get(), publish.topic.to_string())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::example;
    use std::num::NonZeroU16;

    #[test]
    fn a_number_stands_for_the_topic_that_was_last_said_with_it() {
        let mut aliases = Aliases::default();
        let mut say = |topic: &str, alias| {
            let mut publish = example(1, topic).publish;
            publish.properties.get_or_insert_default().topic_alias = NonZeroU16::new(alias);
            aliases.resolve(&mut publish).map(|()| publish.topic.to_string())
        };
        assert_eq!(say("a", 0).as_deref(), Ok("a"));
        assert_eq!(say("", 0), Err(DisconnectReasonCode::ProtocolError));
        assert_eq!(say("", 1), Err(DisconnectReasonCode::TopicAliasInvalid), "it was never said");
        assert_eq!(say("a", 1).as_deref(), Ok("a"));
        assert_eq!(say("b", 8).as_deref(), Ok("b"));
        assert_eq!((say("", 1).as_deref(), say("", 8).as_deref()), (Ok("a"), Ok("b")));
        assert_eq!(say("c", 1).as_deref(), Ok("c"));
        assert_eq!(say("", 1).as_deref(), Ok("c"));
        assert_eq!(say("a", 9), Err(DisconnectReasonCode::TopicAliasInvalid));
    }
}
