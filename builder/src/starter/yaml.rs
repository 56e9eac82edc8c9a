//! YAML as a tree of texts with their lines, read with bounds: an alias costs what it stands for.

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Aliases counted by what they stand for.
const MAX_NODES: usize = 100_000;
const MAX_TEXT_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 64;

/// A place in the file, and what stands there.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Whether it was written without quotes.
    Text(String, bool),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A line, and what is wrong there.
pub(super) type Problem = (usize, String);

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    pub(super) fn entries(&self) -> &[(String, Node)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// `key:` with nothing behind it, and the words that mean the same.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Text(text, true) if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, Problem> {
        match &self.value {
            Value::Text(text, _) => Ok(text),
            _ => Err((self.line, format!("{key} must be one text; correct it"))),
        }
    }

    /// A list of texts; one text counts as a list of one.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, Problem> {
        match &self.value {
            Value::List(nodes) => nodes.iter().map(|node| node.text(key).map(str::to_owned)).collect(),
            Value::Text(text, _) => Ok(vec![text.clone()]),
            Value::Map(_) => Err((self.line, format!("{key} must be a list of texts; correct it"))),
        }
    }

    fn cost(&self) -> (usize, usize) {
        let sum = |costs: &mut dyn Iterator<Item = (usize, usize)>| costs.fold((1, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        match &self.value {
            Value::Text(text, _) => (1, text.len()),
            Value::List(nodes) => sum(&mut nodes.iter().map(Node::cost)),
            Value::Map(entries) => sum(&mut entries.iter().map(|(key, node)| {
                let (nodes, bytes) = node.cost();
                (nodes + 1, bytes + key.len())
            })),
        }
    }
}

/// A list or map whose end was not met yet.
struct Open {
    anchor: usize,
    node: Node,
    /// In a map, the key whose value comes next.
    key: Option<String>,
}

#[derive(Default)]
struct Building {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
}

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut building = Building::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| (error.marker().line(), format!("not YAML: {}", error.info())))?;
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = Value::Text(text.into_owned(), style == ScalarStyle::Plain);
                building.put(Node { line, value }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => building.begin(Value::List(Vec::new()), anchor, line)?,
            Event::MappingStart(anchor, _) => building.begin(Value::Map(Vec::new()), anchor, line)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, node, .. }) = building.open.pop() {
                    building.put(node, anchor)?;
                }
            }
            Event::Alias(id) => {
                let node = building.anchors.get(&id).cloned();
                let node =
                    node.ok_or((line, "an alias stands for nothing that is complete; write it out".to_owned()))?;
                building.put(node, 0)?;
            }
            _ => {}
        }
    }
    building.root.ok_or((1, "it is empty; write at least a name, an arch and a version".to_owned()))
}

impl Building {
    fn begin(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err((line, format!("more than {MAX_DEPTH} levels stand in one another; nobody needs so many")));
        }
        self.open.push(Open { anchor, node: Node { line, value }, key: None });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        let (nodes, bytes) = node.cost();
        self.nodes += nodes;
        self.bytes += bytes;
        let line = node.line;
        if self.nodes > MAX_NODES || self.bytes > MAX_TEXT_BYTES {
            return Err((line, "its aliases stand for more than anybody would write; write it out".to_owned()));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open { node: Node { value, .. }, key, .. }) = self.open.last_mut() else {
            if self.root.is_some() {
                return Err((line, "a second document begins here; keep one in a file".to_owned()));
            }
            self.root = Some(node);
            return Ok(());
        };
        match (value, key.take()) {
            (Value::List(nodes), _) => nodes.push(node),
            (Value::Map(entries), Some(name)) => add(entries, name, node)?,
            (Value::Map(_), None) => *key = Some(node.text("a key")?.to_owned()),
            (Value::Text(..), _) => {}
        }
        Ok(())
    }
}

/// Adds an entry; `<<` brings those of another map that are not there.
fn add(entries: &mut Vec<(String, Node)>, name: String, node: Node) -> Result<(), Problem> {
    if name == "<<"
        && let Value::Map(others) = node.value
    {
        for (name, node) in others {
            if !entries.iter().any(|(there, _)| *there == name) {
                entries.push((name, node));
            }
        }
        return Ok(());
    }
    if entries.len() > 5_000 {
        return Err((node.line, "more than 5000 keys stand in one map".to_owned()));
    }
    if entries.iter().any(|(there, _)| *there == name) {
        return Err((node.line, format!("the key {name:?} stands here twice; keep one")));
    }
    entries.push((name, node));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree_with_lines() {
        let root = parse("a: &x [1, '2']\nb:\n  c: *x\n  d: null\nm: {<<: {k: v}}\n").unwrap();
        assert_eq!(root.get("b").unwrap().get("c").unwrap().texts("c").unwrap(), ["1", "2"]);
        assert!(root.get("b").unwrap().get("d").is_none());
        assert_eq!(root.get("m").unwrap().get("k").unwrap().text("k").unwrap(), "v");
        assert_eq!(root.get("b").unwrap().get("c").unwrap().line, 1);
    }

    #[test]
    fn bombs_are_refused_soon() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..40 {
            let alias = format!("*a{}", i - 1);
            bomb += &format!("a{i}: &a{i} [{}]\n", [&*alias; 10].join(","));
        }
        assert!(parse(&bomb).unwrap_err().1.contains("aliases"));
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
        let deep: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&deep).unwrap_err().1.contains("levels"));
        for bad in ["a: &a [*a]", "a: 1\na: 2", "a: 1\n---\nb: 2", "", "[a: {]", "? [a]\n: b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
