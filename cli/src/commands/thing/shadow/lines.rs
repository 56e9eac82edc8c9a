//! A shadow as people read it.

use serde_json::Value;

/// A line for each value, with the path that leads to it: `reported.fan.rpm = 900`.
pub(super) fn lines_of(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let below = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            members.iter().flat_map(|(name, value)| lines_of(&below(name), value)).collect()
        }
        value if path.is_empty() => vec![value.to_string()],
        value => vec![format!("{path} = {value}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_value_has_a_line() {
        let state = json!({"desired": {"on": true}, "reported": {"fan": {"rpm": 900, "x": {}}, "l": [1, "a"]}});
        let expected = ["desired.on = true", "reported.fan.rpm = 900", "reported.fan.x = {}", "reported.l = [1,\"a\"]"];
        assert_eq!(lines_of("", &state), expected);
    }
}
