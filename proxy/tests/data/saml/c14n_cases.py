"""Documents with their canonical form as libxml2 writes it. `python3 c14n_cases.py 20000 > c14n.json` makes more."""

import json
import random
import sys

from lxml import etree

from signing import canonical

BY_HAND = [
    # The examples of https://www.w3.org/TR/xml-c14n, without document types and comments.
    ('<doc><e1   /><e2   ></e2><e3   name = "elem3"   id="elem3"   /><e4   name="elem4"   id="elem4"   ></e4></doc>', []),
    ('<e5 a:attr="out" b:attr="sorted" attr2="all" attr="I\'m" xmlns:b="http://www.ietf.org" xmlns:a="http://www.w3.org" xmlns="http://example.org"/>', []),
    ('<e6 xmlns="" xmlns:a="http://www.w3.org"><e7 xmlns="http://www.ietf.org"><e8 xmlns="" xmlns:a="http://www.w3.org"><e9 xmlns="" xmlns:a="http://www.ietf.org" attr="default"/></e8></e7></e6>', []),
    ("<doc><text>First line&#x0d;&#10;Second line</text><value>&#x32;</value><compute><![CDATA[value>\"0\" && value<\"10\" ?\"valid\":\"error\"]]></compute></doc>", []),
    ("<doc a='&#9;&#10;&#13; \t' b=\"&lt;&gt;&amp;&quot;&apos;'\"> &#x20;&#xe9;\u00e9\U0001f511 </doc>", []),
    # Those of https://www.w3.org/TR/xml-exc-c14n.
    ('<n0:local xmlns:n0="foo:bar" xmlns:n3="ftp://example.org"><n1:elem2 ID="apex" xmlns:n1="http://example.net" xml:lang="en"><n3:stuff xmlns:n3="ftp://example.org"/></n1:elem2></n0:local>', []),
    ('<n2:pdu xmlns:n1="http://example.com" xmlns:n2="http://foo.example" xml:lang="fr" xml:space="retain"><n1:elem2 ID="apex" xmlns:n1="http://example.net" xml:lang="en"><n3:stuff xmlns:n3="ftp://example.org"/></n1:elem2></n2:pdu>', ["n2", "n1"]),
    # Default namespaces, gone and back.
    ('<a xmlns="urn:1"><b xmlns=""><c xmlns="urn:1"/><c/></b><b/></a>', []),
    ('<a xmlns="urn:1"><p:b xmlns:p="urn:2"><c/></p:b></a>', []),
    ('<a xmlns:x="urn:x" xmlns:y="urn:y"><b ID="apex"><c><d xmlns:x="urn:other"><e xmlns:x="urn:x"/></d></c></b></a>', ["x", "y", "z"]),
    ('<p:a xmlns:p="urn:1" xmlns:q="urn:1" q:z="1" p:y="2" x="3" w="4"/>', []),
    ('<a xmlns:b="urn:z" xmlns:c="urn:a" b:q="" c:q="" q="" c:p="" xml:lang="" />', []),
    ("<a>b<!-- c -->d<!-- e --><f/><!-- g --></a>", []),
]


def make(count: int) -> list:
    cases = [case(text, prefixes) for text, prefixes in BY_HAND]
    while len(cases) < count:
        depth = random.randint(1, 5)
        prefixes = random.sample(["a", "b", "c", "d"], random.choice([0, 0, 1, 2]))
        cases.append(case(element({}, depth, []), prefixes))
    return cases


def case(text: str, prefixes: list) -> dict:
    root = etree.fromstring(text.encode())
    apex = next((found for found in root.iter(etree.Element) if found.get("ID") == "apex"), root)
    for left_out in [found for found in apex.iter(etree.Element) if found.get("ID") == "without" and found is not apex]:
        remove(left_out)
    return {"in": text, "prefixes": " ".join(prefixes), "out": canonical(apex, prefixes).decode()}


def remove(element):
    """Takes an element out and leaves the text behind it, as the enveloped signature's transform does."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def element(scope: dict, depth: int, used: list) -> str:
    scope = dict(scope)
    declared = {}
    for prefix in random.sample(["", "a", "b", "c"], random.choice([0, 0, 1, 1, 2])):
        declared[prefix] = random.choice(["urn:1", "urn:2", "urn:3"] + [""] * (prefix == ""))
    scope.update(declared)
    prefixes = [prefix for prefix in scope if prefix]
    name = lambda local, choices: f"{choice}:{local}" if (choice := random.choice(choices)) else local
    tag = name(random.choice("efg"), ["", *prefixes])
    attributes = [f'xmlns{":" * bool(prefix)}{prefix}="{uri}"' for prefix, uri in declared.items()]
    seen = set()
    for _ in range(random.choice([0, 0, 1, 2, 3])):
        attribute = name(random.choice("xyz"), ["", *prefixes, "xml"])
        prefix, _, local = attribute.rpartition(":")
        key = (scope.get(prefix, "xml") if prefix else "", local)
        if key not in seen:
            seen.add(key)
            attributes.append(f"{attribute}='{value()}'")
    mark = random.choice(["apex", "without", None, None])
    if mark and mark not in used:
        used.append(mark)
        attributes.append(f'ID="{mark}"')
    random.shuffle(attributes)
    inner = "".join(
        element(scope, depth - 1, used) if depth and random.random() < 0.5 else text() for _ in range(random.randint(0, 4))
    )
    space = random.choice([" ", "\n", "  "])
    head = f"<{tag}{''.join(space + attribute for attribute in attributes)}"
    return f"{head}/>" if not inner and random.random() < 0.5 else f"{head}>{inner}</{tag}>"


def value() -> str:
    return "".join(random.choice(["v", " ", "\n", "\t", "&#9;", "&#xA;", "&#13;", "&lt;", ">", "&amp;", '"', "&quot;", "&apos;", "é", "🔑"]) for _ in range(random.randint(0, 5)))


def text() -> str:
    return "".join(
        random.choice(["t", " ", "\n", "\r\n", "\t", "&#13;", "&lt;", "&gt;", ">", "&amp;", '"', "'", "é", "🔑", "<![CDATA[<&>]]>", "<!--c-->"])
        for _ in range(random.randint(0, 5))
    )


def dump(cases: list) -> str:
    return "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in cases) + "\n]\n"


if __name__ == "__main__":
    sys.stdout.write(dump(make(int(sys.argv[1]))))
