//! From text to statements. Strict: what is not understood is refused, so that no Deny is lost.

use super::condition::{Condition, OperandError, Operator};
use super::document::{Effect, Grammar, Listed, Statement};
use super::json::Json;
use super::key::Key;
use super::malformed::{Malformed, Place, Problem};
use super::pattern::{Pattern, Syntax};
use super::requester::{AwsPrincipal, Principals};

type Members = [(String, Json)];

/// Reads the statements of a document.
pub(super) fn statements(grammar: Grammar, text: &str) -> Result<Box<[Statement]>, Malformed> {
    let root = Place::Document;
    let json: Json = match serde_json::from_str(text) {
        Ok(json) => json,
        Err(error) => return root.error(Problem::Json(error.to_string())),
    };
    let members = object(&json, &root)?;
    known(members, &["Version", "Id", "Statement"], &root)?;
    if let Some(id) = member(members, "Id") {
        self::text(id, &Place::Member(&root, "Id"))?;
    }
    let variables = match member(members, "Version") {
        None => false,
        Some(version) => match version {
            Json::Text(version) if version == "2012-10-17" => true,
            Json::Text(version) if version == "2008-10-17" => false,
            other => {
                let shown = other.scalar().unwrap_or_default().to_owned();
                return Place::Member(&root, "Version").error(Problem::Version(shown));
            }
        },
    };
    let Some(list) = member(members, "Statement") else { return root.error(Problem::Missing("Statement")) };
    let place = Place::Member(&root, "Statement");
    if list.items().is_empty() {
        return place.error(Problem::Syntax("there is no statement".to_owned()));
    }
    let reader = Reader { grammar, variables };
    let mut statements = Vec::with_capacity(list.items().len());
    for (index, item) in list.items().iter().enumerate() {
        let place = Place::Item(&place, index);
        let statement = reader.statement(item, &place)?;
        if statement.sid.is_some() && statements.iter().any(|known: &Statement| known.sid == statement.sid) {
            return Place::Member(&place, "Sid").error(Problem::RepeatedSid);
        }
        statements.push(statement);
    }
    Ok(statements.into())
}

fn object<'a>(json: &'a Json, place: &Place<'_>) -> Result<&'a Members, Malformed> {
    match json {
        Json::Object(members) => Ok(members),
        _ => place.error(Problem::Syntax("an object was expected".to_owned())),
    }
}

fn text<'a>(json: &'a Json, place: &Place<'_>) -> Result<&'a str, Malformed> {
    match json {
        Json::Text(text) => Ok(text),
        _ => place.error(Problem::Syntax("a string was expected".to_owned())),
    }
}

/// A string or a list of strings.
fn texts<'a>(json: &'a Json, place: &Place<'_>) -> Result<Vec<&'a str>, Malformed> {
    let items = json.items().iter().enumerate();
    items.map(|(index, item)| text(item, &Place::Item(place, index))).collect()
}

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a Json> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn known(members: &Members, names: &[&str], place: &Place<'_>) -> Result<(), Malformed> {
    match members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => place.error(Problem::Unknown(name.clone())),
        None => Ok(()),
    }
}

/// An element that comes in two forms, of which a statement has one.
fn either<'a>(
    members: &'a Members,
    [only, all_but]: [&'static str; 2],
    place: &Place<'_>,
) -> Result<Option<(&'static str, Listed<&'a Json>)>, Malformed> {
    match (member(members, only), member(members, all_but)) {
        (Some(_), Some(_)) => place.error(Problem::Both(only, all_but)),
        (Some(json), None) => Ok(Some((only, Listed::Only(json)))),
        (None, Some(json)) => Ok(Some((all_but, Listed::AllBut(json)))),
        (None, None) => Ok(None),
    }
}

const ACTIONS: [&str; 2] = ["Action", "NotAction"];
const RESOURCES: [&str; 2] = ["Resource", "NotResource"];
const PRINCIPALS: [&str; 2] = ["Principal", "NotPrincipal"];

struct Reader {
    grammar: Grammar,
    /// `${…}` is a variable.
    variables: bool,
}

impl Reader {
    fn statement(&self, json: &Json, place: &Place<'_>) -> Result<Statement, Malformed> {
        let members = object(json, place)?;
        let elements = [&["Sid", "Effect", "Condition"][..], &ACTIONS, &RESOURCES, &PRINCIPALS].concat();
        known(members, &elements, place)?;
        let sid = match member(members, "Sid") {
            Some(json) => self.sid(json, &Place::Member(place, "Sid"))?,
            None => None,
        };
        let effect = match member(members, "Effect") {
            Some(Json::Text(effect)) if effect == "Allow" => Effect::Allow,
            Some(Json::Text(effect)) if effect == "Deny" => Effect::Deny,
            Some(other) => {
                let shown = other.scalar().unwrap_or_default().to_owned();
                return Place::Member(place, "Effect").error(Problem::Effect(shown));
            }
            None => return place.error(Problem::Missing("Effect")),
        };
        let principals = self.principals(members, effect, place)?;
        let Some((name, listed)) = either(members, ACTIONS, place)? else {
            return place.error(Problem::NoActions);
        };
        let actions = listed.try_map(|json| self.actions(json, &Place::Member(place, name)))?;
        let resources = self.resources(members, place)?;
        let conditions = match member(members, "Condition") {
            Some(json) => self.conditions(json, &Place::Member(place, "Condition"))?,
            None => Box::default(),
        };
        Ok(Statement { sid, effect, principals, actions, resources, conditions })
    }

    /// Letters and digits; resource-based policies of most services take any text.
    fn sid(&self, json: &Json, place: &Place<'_>) -> Result<Option<Box<str>>, Malformed> {
        let sid = text(json, place)?;
        let legal = match self.grammar {
            Grammar::Identity | Grammar::Trust => sid.bytes().all(|b| b.is_ascii_alphanumeric()),
            Grammar::Resource => true,
        };
        if !legal {
            return place.error(Problem::Sid);
        }
        Ok((!sid.is_empty()).then(|| sid.into()))
    }

    fn actions(&self, json: &Json, place: &Place<'_>) -> Result<Box<[Pattern]>, Malformed> {
        let texts = texts(json, place)?;
        if texts.is_empty() {
            return place.error(Problem::NoActions);
        }
        let syntax = Syntax { wildcards: true, variables: false };
        let one = |(index, text): (usize, &str)| {
            let place = &Place::Item(place, index);
            let vendor = text.split_once(':').map(|(vendor, _)| vendor);
            match (self.grammar, vendor) {
                (Grammar::Trust, vendor)
                    if vendor.is_none_or(|vendor| !vendor.eq_ignore_ascii_case("sts")) =>
                {
                    return place.error(Problem::NotOfSts);
                }
                (_, None) if text != "*" => return place.error(Problem::Vendor),
                (_, Some(vendor)) if !is_vendor(vendor) => {
                    return place.error(Problem::ActionVendor(vendor.to_owned()));
                }
                (Grammar::Identity | Grammar::Trust | Grammar::Resource, _) => {}
            }
            let legal = |b: u8| b.is_ascii_alphanumeric() || b":*?-_".contains(&b);
            if text.ends_with(':') || !text.bytes().all(legal) {
                return place.error(Problem::Syntax(format!("{text:?} is no action")));
            }
            compiled(Pattern::compile(text, syntax), place)
        };
        texts.into_iter().enumerate().map(one).collect()
    }

    fn resources(
        &self,
        members: &Members,
        place: &Place<'_>,
    ) -> Result<Option<Listed<Box<[Pattern]>>>, Malformed> {
        match (self.grammar, either(members, RESOURCES, place)?) {
            (Grammar::Trust, None) => Ok(None),
            (Grammar::Trust, Some((name, _))) => place.error(Problem::Prohibited(name.to_owned())),
            (Grammar::Identity | Grammar::Resource, None) => place.error(Problem::NoResources),
            (Grammar::Identity | Grammar::Resource, Some((name, listed))) => {
                let place = &Place::Member(place, name);
                listed.try_map(|json| self.resource_list(json, place)).map(Some)
            }
        }
    }

    fn resource_list(&self, json: &Json, place: &Place<'_>) -> Result<Box<[Pattern]>, Malformed> {
        let texts = texts(json, place)?;
        if texts.is_empty() {
            return place.error(Problem::NoResources);
        }
        let syntax = Syntax { wildcards: true, variables: self.variables };
        let one = |(index, text)| {
            let place = &Place::Item(place, index);
            check_resource(text, place)?;
            if self.variables && text.splitn(6, ':').take(5).any(|part| part.contains("${")) {
                return place.error(Problem::VariablePlace(text.to_owned()));
            }
            compiled(Pattern::compile_arn(text, syntax), place)
        };
        texts.into_iter().enumerate().map(one).collect()
    }

    fn principals(
        &self,
        members: &Members,
        effect: Effect,
        place: &Place<'_>,
    ) -> Result<Option<Listed<Principals>>, Malformed> {
        match (self.grammar, either(members, PRINCIPALS, place)?) {
            (Grammar::Identity, None) => Ok(None),
            (Grammar::Identity, Some(_)) => place.error(Problem::Principal),
            (Grammar::Trust | Grammar::Resource, None) => place.error(Problem::Missing("Principal")),
            (Grammar::Trust | Grammar::Resource, Some((name, listed))) => {
                let place = &Place::Member(place, name);
                match (&listed, effect) {
                    (Listed::AllBut(_), Effect::Allow) => place.error(Problem::NotPrincipalAllows),
                    (Listed::AllBut(_), Effect::Deny) | (Listed::Only(_), _) => {
                        listed.try_map(|json| principals(json, place)).map(Some)
                    }
                }
            }
        }
    }

    fn conditions(&self, json: &Json, place: &Place<'_>) -> Result<Box<[Condition]>, Malformed> {
        let mut conditions = Vec::new();
        for (name, block) in object(json, place)? {
            let place = &Place::Member(place, name);
            let Some(operator) = Operator::parse(name) else {
                return place.error(Problem::Operator(name.clone()));
            };
            for (key, values) in object(block, place)? {
                let place = &Place::Member(place, key);
                let Some(parsed) = Key::parse(key) else { return place.error(Problem::Vendor) };
                let values = scalars(values, place)?;
                match operator.condition(parsed, &values, self.variables) {
                    Ok(condition) => conditions.push(condition),
                    Err(OperandError::Variable(error)) => {
                        return place.error(Problem::Variable(error.to_string()));
                    }
                    Err(error) => {
                        let reason = error.to_string();
                        return place.error(Problem::Operand { key: key.clone(), reason });
                    }
                }
            }
        }
        Ok(conditions.into())
    }
}

impl<'a> Listed<&'a Json> {
    fn try_map<T, E>(self, read: impl FnOnce(&'a Json) -> Result<T, E>) -> Result<Listed<T>, E> {
        match self {
            Self::Only(json) => read(json).map(Listed::Only),
            Self::AllBut(json) => read(json).map(Listed::AllBut),
        }
    }
}

fn compiled<T, E: ToString>(result: Result<T, E>, place: &Place<'_>) -> Result<T, Malformed> {
    result.or_else(|error| place.error(Problem::Variable(error.to_string())))
}

/// The values below a condition key: texts, numbers and booleans.
fn scalars<'a>(json: &'a Json, place: &Place<'_>) -> Result<Vec<&'a str>, Malformed> {
    let items = json.items();
    if items.is_empty() {
        return place.error(Problem::Syntax("there is no value".to_owned()));
    }
    let one = |(index, item): (usize, &'a Json)| match item.scalar() {
        Some(value) => Ok(value),
        None => Place::Item(place, index)
            .error(Problem::Syntax("a string, a number or a boolean was expected".to_owned())),
    };
    items.iter().enumerate().map(one).collect()
}

fn is_vendor(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Wildcards may stand for a partition, a region or an account, but not for `arn` and not for a service.
fn check_resource(text: &str, place: &Place<'_>) -> Result<(), Malformed> {
    if text == "*" {
        return Ok(());
    }
    let Some(rest) = text.strip_prefix("arn:") else { return place.error(Problem::NoArn(text.to_owned())) };
    let (partition, rest) =
        rest.split_once(':').map_or((rest, None), |(partition, rest)| (partition, Some(rest)));
    let legal = |b: u8| b.is_ascii_lowercase() || b"-*?".contains(&b);
    let known = partition.starts_with("aws") || partition.contains(['*', '?']);
    if !known || !partition.bytes().all(legal) {
        return place.error(Problem::Partition(partition.to_owned(), text.to_owned()));
    }
    let vendor = rest.map(|rest| rest.split_once(':').map_or((rest, false), |(vendor, _)| (vendor, true)));
    match vendor {
        // An ARN that ends here gets `*` for the service, as if nothing had been written.
        None | Some(("*", false)) => Ok(()),
        Some((vendor, _)) if is_vendor(vendor) => Ok(()),
        Some(_) => place.error(Problem::ResourceVendor),
    }
}

fn principals(json: &Json, place: &Place<'_>) -> Result<Principals, Malformed> {
    let mut principals = Principals::default();
    if let Json::Text(text) = json {
        if text != "*" {
            return place.error(Problem::InvalidPrincipal(format!("{text:?}")));
        }
        principals.anybody = true;
        return Ok(principals);
    }
    let members = object(json, place)?;
    if members.is_empty() {
        return place.error(Problem::Syntax("there is no principal".to_owned()));
    }
    for (kind, listed) in members {
        let place = &Place::Member(place, kind);
        let texts = texts(listed, place)?;
        if texts.is_empty() {
            return place.error(Problem::Syntax("there is no principal".to_owned()));
        }
        for text in texts {
            let invalid = || Problem::InvalidPrincipal(format!("{kind:?}:{text:?}"));
            let plain = !text.is_empty() && !text.contains(['*', '?']);
            match kind.as_str() {
                "AWS" if text == "*" => principals.anybody = true,
                "AWS" => match AwsPrincipal::parse(text) {
                    Some(principal) => principals.aws.push(principal),
                    None => return place.error(invalid()),
                },
                "Federated" if plain => principals.federated.push(text.into()),
                "Service" if plain => principals.services.push(text.into()),
                _ => return place.error(invalid()),
            }
        }
    }
    Ok(principals)
}

#[cfg(test)]
mod tests;
