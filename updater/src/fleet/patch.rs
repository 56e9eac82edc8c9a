//! What is to be sent so that a shadow's reported state becomes what it should be.

use serde_json::{Map, Value};

/// The change that makes `wanted` of `current` by a shadow's rules: objects are merged, null takes away, all else is
/// replaced. None if nothing is to be changed.
pub(super) fn patch(current: &Map<String, Value>, wanted: &Map<String, Value>) -> Option<Map<String, Value>> {
    let gone = current.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = wanted.iter().filter_map(|(key, wanted)| {
        let change = match (current.get(key), wanted) {
            (Some(current), wanted) if current == wanted => return None,
            (Some(Value::Object(current)), Value::Object(wanted)) => Value::Object(patch(current, wanted)?),
            _ => wanted.clone(),
        };
        Some((key.clone(), change))
    });
    let patch: Map<String, Value> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i8>().prop_map(Value::from), "[ab]".prop_map(Value::from)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[a-c]", value(), 0..3).prop_map(|map| map.into_iter().collect())
    }

    /// As the server does it, without the emptied objects that it drops.
    fn merge(into: &mut Map<String, Value>, change: Map<String, Value>) {
        for (key, change) in change {
            match (into.get_mut(&key), change) {
                (_, Value::Null) => drop(into.remove(&key)),
                (Some(Value::Object(old)), Value::Object(change)) => merge(old, change),
                (_, change) => drop(into.insert(key, change)),
            }
        }
    }

    proptest! {
        #[test]
        fn the_change_makes_what_is_wanted(current in object(), wanted in object()) {
            let change = patch(&current, &wanted);
            prop_assert_eq!(change.is_none(), current == wanted);
            let mut changed = current;
            merge(&mut changed, change.unwrap_or_default());
            prop_assert_eq!(changed, wanted);
        }
    }
}
