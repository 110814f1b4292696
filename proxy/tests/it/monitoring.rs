//! Rules and dashboard for operators name metrics that exist. Names are taken from the calls that register them: which of
//! them a running gateway shows depends on its configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sigward::metrics::Metrics;

/// Methods of [`Metrics`] that register, and what stands behind the name of each series.
const REGISTER: [(&str, &[&str]); 5] = [
    (".counter(", &[""]),
    (".counters(", &[""]),
    (".gauge(", &[""]),
    (".gauges(", &[""]),
    (".seconds(", &["_bucket", "_sum", "_count"]),
];

const RULES: &str = "deploy/prometheus/rules.yaml";
const RULES_TEST: &str = "deploy/prometheus/rules_test.yaml";
const DASHBOARD: &str = "deploy/grafana/sigward.json";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Sources of the program, without its tests.
fn sources() -> Vec<String> {
    let mut waiting = vec![repository().join("proxy/src")];
    let mut texts = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() && !path.ends_with("tests") {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

/// Every series that a source registers.
fn registered(source: &str) -> BTreeSet<String> {
    let mut series = BTreeSet::new();
    for (method, endings) in REGISTER {
        for call in source.split(method).skip(1) {
            let Some((name, _)) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'))
            else {
                continue;
            };
            series.extend(endings.iter().map(|ending| format!("sigward_{name}{ending}")));
        }
    }
    series
}

/// Every series that a gateway can have.
fn existing() -> BTreeSet<String> {
    let process = String::from_utf8(Metrics::new().render()).unwrap();
    let process = process.lines().filter(|line| line.starts_with("process_"));
    let process = process.filter_map(|line| Some(line.split_once(' ')?.0.to_owned()));
    sources().iter().flat_map(|source| registered(source)).chain(process).collect()
}

/// The names in a text that begin like a metric of a gateway, or like a recorded one of `deploy/prometheus`.
fn named(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let is_metric = |name: &&str| {
        name.starts_with("sigward_") || name.starts_with("process_") || name.starts_with("sigward:")
    };
    text.split(|c| !is_name(c)).map(|word| word.trim_end_matches(':')).filter(is_metric).collect()
}

/// Names of recording rules, by what stands before the names in the file.
fn recorded(rules: &str) -> BTreeSet<String> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned).collect()
}

fn unknown<'a>(text: &'a str, known: &BTreeSet<String>) -> Vec<&'a str> {
    named(text).into_iter().filter(|name| !known.contains(*name)).collect()
}

/// Every expression of a panel, and the query of every variable.
fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(["expr", "definition"].iter().filter_map(|key| fields.get(*key)?.as_str()));
            fields.values().for_each(|field| expressions(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn rules_name_metrics_that_exist() {
    let rules = read(RULES);
    let known: BTreeSet<_> = existing().into_iter().chain(recorded(&rules)).collect();
    assert!(named(&rules).len() > 20, "the names were not found");
    assert_eq!(unknown(&rules, &known), [""; 0], "{RULES} names what no gateway exports");
    assert_eq!(unknown(&read(RULES_TEST), &known), [""; 0], "{RULES_TEST} names what no gateway exports");
}

#[test]
fn the_dashboard_names_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 20, "the expressions were not found");
    // It works without the recording rules.
    let known = existing();
    let wrong: BTreeMap<_, _> = found
        .into_iter()
        .map(|expression| (expression, unknown(expression, &known)))
        .filter(|(_, unknown)| !unknown.is_empty())
        .collect();
    assert_eq!(wrong, BTreeMap::new(), "{DASHBOARD} names what no gateway exports");
}

#[test]
fn every_alert_says_what_to_do() {
    let rules = read(RULES);
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 20, "the alerts were not found");
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{name} lacks {part}");
        }
    }
}

#[test]
fn every_alert_is_tried_in_trouble_and_in_health() {
    let (rules, tests) = (read(RULES), read(RULES_TEST));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untried: Vec<_> = alerts.filter(|name| !tests.contains(&format!("alertname=\"{name}\""))).collect();
    assert_eq!(untried, [""; 0], "no test lets these fire");
    // An alert is silent for want of what it looks at, too: that proves nothing.
    let (health, _) = tests.split_once("promql_expr_test").unwrap();
    let shown = named(health);
    let recorded = recorded(&rules);
    let missing: Vec<_> =
        named(&rules).into_iter().filter(|name| !recorded.contains(*name) && !shown.contains(name)).collect();
    assert_eq!(missing, [""; 0], "the gateways in health lack these");
}

#[test]
fn finds_names_where_they_stand() {
    let found = registered(
        "let a = metrics.counter(\n    \"a_total\", \"A.\"); b.seconds(\"b\", help); c.gauge(d, e)",
    );
    let expected = ["a_total", "b_bucket", "b_sum", "b_count"].map(|name| format!("sigward_{name}"));
    assert_eq!(found, expected.into());
    let text =
        "rate(sigward_x_total{a=\"sigward\"}[5m]) > sigward:y:ratio * process_open_fds or my_sigward_z";
    assert_eq!(named(text), ["process_open_fds", "sigward:y:ratio", "sigward_x_total"].into());
}
