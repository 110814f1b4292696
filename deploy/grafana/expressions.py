#!/usr/bin/env python3
"""Prints the expressions of a dashboard as recording rules, for `promtool check rules` to parse.

    deploy/grafana/expressions.py deploy/grafana/sigward.json

Grafana's variables are replaced. Ends with 1 where a panel cannot be read by its viewers: it asks nothing, has no
description or unit, or names a variable that the dashboard does not have.
"""

import json
import re
import sys

BUILT_IN = {"__rate_interval": "5m"}
VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def main(path: str) -> int:
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    values = BUILT_IN | {variable["name"]: ".*" for variable in dashboard["templating"]["list"]}
    faults, rules, ids = [], [], set()

    def check(name: str, *texts: str) -> None:
        unknown = {used for text in texts for used in VARIABLE.findall(text)} - values.keys()
        faults.extend(f"{name}: no variable ${used}" for used in sorted(unknown))

    for variable in dashboard["templating"]["list"]:
        check(f"variable {variable['name']}", json.dumps(variable["query"]), variable.get("definition", ""))
    for panel in dashboard["panels"]:
        if panel["id"] in ids:
            faults.append(f"panel {panel['id']}: another one has this id")
        ids.add(panel["id"])
        if panel["type"] == "row":
            continue
        name = f"panel {panel['id']}, {panel['title']}"
        if not panel.get("description"):
            faults.append(f"{name}: no description")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            faults.append(f"{name}: no unit")
        if not panel["targets"]:
            faults.append(f"{name}: no expression")
        for target in panel["targets"]:
            check(name, target["datasource"]["uid"], target["expr"], target["legendFormat"])
            expression = VARIABLE.sub(lambda found: values.get(found[1], ""), target["expr"])
            rules.append({"record": f"dashboard:panel_{panel['id']}_{target['refId']}", "expr": expression})
    if not rules:
        faults.append("no expressions")
    for fault in faults:
        print(f"{path}: {fault}", file=sys.stderr)
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout, indent=1)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
