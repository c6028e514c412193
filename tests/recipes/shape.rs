//! The shape of a document: which keys there may be, which there must be, and what their values are.

use saphyr::{LoadableYamlNode, Yaml};

/// What a published schema says of a value, as far as our documents have to do with it.
#[derive(Clone, Copy)]
pub enum Shape {
    Anything,
    Text,
    Flag,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// At least one of these.
    List(&'static Shape),
    /// At least one name of the user's own, all with values of one shape.
    Names(&'static Shape),
    /// Words that must be keys; keys with the shapes of their values; words that may be keys as well.
    Keys(&'static str, &'static [(&'static str, Shape)], &'static str),
    /// Keys with the shapes of their values, and any name of the user's own with a value of the last shape.
    KeysOrNames(&'static [(&'static str, Shape)], &'static Shape),
    /// What has the first key that is there has that shape.
    ByKey(&'static [(&'static str, Shape)]),
    /// One or the other.
    Either(&'static Shape, &'static Shape),
}

/// The one document of a text.
#[track_caller]
pub fn load(text: &str) -> Yaml<'_> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let [document] = <[_; 1]>::try_from(documents).expect("one document");
    document
}

impl Shape {
    /// Whether a document has this shape; the error says where it has not.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
        documents.iter().try_for_each(|it| self.check_node(it, ""))
    }

    fn check_node(&self, node: &Yaml<'_>, place: &str) -> Result<(), String> {
        let ensure = |condition: bool, wanted: &str| match condition {
            true => Ok(()),
            false => Err(format!("{place}: is not {wanted}")),
        };
        match self {
            Shape::Anything => Ok(()),
            Shape::Text => ensure(node.as_str().is_some(), "a text"),
            Shape::Flag => ensure(node.as_bool().is_some(), "true or false"),
            Shape::Number(least, most) => {
                let number = node.as_integer();
                let is_within = number.is_some_and(|it| (*least..=*most).contains(&it));
                ensure(is_within, &format!("a number from {least} to {most}"))
            }
            Shape::Word(words) => {
                let word = node.as_str();
                let is_known = word.is_some_and(|word| words.contains(&word));
                ensure(is_known, &format!("one of {words:?}"))
            }
            Shape::List(item) => {
                let items = node.as_vec().map_or(&[][..], |items| items);
                ensure(!items.is_empty(), "a list")?;
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, node)| item.check_node(node, &format!("{place}[{at}]")))
            }
            Shape::Names(value) => Shape::KeysOrNames(&[], value).check_node(node, place),
            Shape::Keys(required, typed, known) => {
                let mut required = required.split_whitespace();
                let missing = required.find(|key| node.as_mapping_get(key).is_none());
                missing.map_or(Ok(()), |key| Err(format!("{place}: {key} is missing")))?;
                let is_known = |key: &str| known.split_whitespace().any(|word| word == key);
                check_keys(node, place, typed, |key| {
                    is_known(key).then_some(&Shape::Anything)
                })
            }
            Shape::KeysOrNames(typed, other) => check_keys(node, place, typed, |_| Some(other)),
            Shape::ByKey(kinds) => {
                let mut kinds = kinds.iter();
                let kind = kinds.find(|(key, _)| node.as_mapping_get(key).is_some());
                let (_, shape) =
                    kind.ok_or(format!("{place}: has none of the keys that tell its kind"))?;
                shape.check_node(node, place)
            }
            Shape::Either(one, other) => {
                let first = one.check_node(node, place);
                first.or_else(|one| {
                    let second = other.check_node(node, place);
                    second.map_err(|other| format!("{one}, and {other}"))
                })
            }
        }
    }
}

/// Checks the value of every key, of a mapping that is not empty. `other` knows the shapes for keys that are not
/// listed.
fn check_keys<'a>(
    node: &Yaml<'_>,
    place: &str,
    typed: &'a [(&str, Shape)],
    other: impl Fn(&str) -> Option<&'a Shape>,
) -> Result<(), String> {
    let mapping = node.as_mapping().filter(|it| !it.is_empty());
    for (key, value) in mapping.ok_or(format!("{place}: has no keys"))? {
        let key = key.as_str().ok_or(format!("{place}: {key:?} is no key"))?;
        let place = format!("{place}.{key}");
        let listed = typed.iter().find(|(name, _)| *name == key);
        let shape = listed.map(|(_, shape)| shape).or_else(|| other(key));
        let shape = shape.ok_or(format!("{place}: is no key here"))?;
        shape.check_node(value, &place)?;
    }
    Ok(())
}
