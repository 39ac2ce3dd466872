from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.model import document
from hilum.model.configuration import Configuration

GOLDEN = Path(__file__).parent / "configuration.schema.json"

DEMO = """
version: 1
organization: demo
environment: development
integrations:
  - name: adt-feed
    type: HL7
    protocol: hl7_v2
    endpoints:
      - name: in
        direction: inbound
        url: "mllp://127.0.0.1:2575"
        ack: {mode: original, when: stored}
        search: {patient: PID-3.1}
  - name: lab
    type: LAB_SYSTEM
    protocol: hl7_v2
    endpoints:
      - name: out
        direction: outbound
        url: "mllp://127.0.0.1:2576"
        timeout: 20000
        retries: 5
        lane: {key: PID-3.1}
routes:
  - name: adt-to-lab
    from: adt-feed/in
    steps:
      - filter: {where: "MSH-9.1 == 'ADT'"}
      - map: {set: {MSH-5: "XFORMED"}}
    to: [lab/out]
"""


def options(yaml: str) -> dict[str, Any]:
    """How `key: value` lines read where they are passed on as they are: in an endpoint's own options."""
    return configuration(endpoint("in", "inbound", "x", f", {yaml}")).integrations[0].endpoints[0].options


def fault(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        document.load(text, "hub.yaml")
    return caught.value


def configuration(*endpoints: str, routes: str = "[]") -> Configuration:
    listed = ", ".join(endpoints)
    text = f"version: 1\nintegrations: [{{name: a, protocol: hl7_v2, endpoints: [{listed}]}}]\nroutes: {routes}"
    return document.load(text, "hub.yaml")


def endpoint(name: str, direction: str, url: str, more: str = "") -> str:
    return f'{{name: {name}, direction: {direction}, url: "{url}"{more}}}'


# Reading


def test_a_file_becomes_the_configuration() -> None:
    found = document.load(DEMO, "hub.yaml")
    assert found.organization == "demo"
    assert [item.name for item in found.integrations] == ["adt-feed", "lab"]
    inbound, outbound = found.integrations[0].endpoints[0], found.integrations[1].endpoints[0]
    assert inbound.options == {"ack": {"mode": "original", "when": "stored"}}
    assert (outbound.timeout, outbound.retries, outbound.lane.key) == (20_000, 5, "PID-3.1")
    assert found.routes[0].source == "adt-feed/in"
    assert found.routes[0].steps[1] == {"map": {"set": {"MSH-5": "XFORMED"}}}
    assert document.check(found) == []


@pytest.mark.parametrize(
    ("yaml", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("22:22", "22:22"),
        ("2024-01-01", "2024-01-01"),
        ("19700101", 19700101),
        ("0", 0),
        ("-7", -7),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("12345678901234567890", 12345678901234567890),
        ("1e999", "1e999"),
        ("'true'", "true"),
        ('"7"', "7"),
        ("=", "="),
    ],
)
def test_scalars_follow_yaml_1_2(yaml: str, value: object) -> None:
    found = options(f"key: {yaml}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text() -> None:
    assert options("a: {no: 1, 010: 2, true: 3, ~: 4}")["a"] == {"no": 1, "010": 2, "true": 3, "~": 4}


def test_an_alias_repeats_its_anchor() -> None:
    assert options("a: &tls {ca: x}, b: *tls")["b"] == {"ca": "x"}


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("version: 1\nfoo: 2", "foo", "there is no such key (hub.yaml line 2, column 6)"),
        (
            "version: 1\nroutes:\n  - name: r\n",
            "routes[0].from",
            "this key is missing (hub.yaml line 3, column 5)",
        ),
        (
            "version: 1\nroutes:\n  - {name: r, from: a/b, steps: [{a: 1, b: 2}]}",
            "routes[0]",
            "steps[0] must name exactly one verb, not: a, b (hub.yaml line 3, column 5)",
        ),
        (
            "version: 1\nintegrations:\n- name: a\n  protocol: x\n  type: y",
            "integrations[0].type",
            "hub.yaml line 5, column 9; 1 more such faults",
        ),
        ("version: 2", "version", "hub.yaml line 1, column 10"),
        ("", "version", "missing"),
        ("# only a comment", "version", "missing"),
    ],
)
def test_a_fault_has_its_path_line_and_column(text: str, where: str, reason: str) -> None:
    found = fault(text)
    assert found.where == where
    assert reason in found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "line 1" if document._PARSER.__name__ == "SafeLoader" else "line 2"),
        (
            "a: 1\nb: 2\na: 3",
            "'a' stands here twice, first at hub.yaml line 1, column 4 (hub.yaml line 3, column 1)",
        ),
        ("a: {b: 1, b: 2}", "'b' stands here twice"),
        ("a: *nowhere", "no anchor &nowhere above"),
        ("a: &a [*a]", "no anchor &a above"),
        ("a: !!python/object/apply:os.system [ls]", "tags such as"),
        ("a: !!str 1", "tags such as"),
        ("<<: {a: 1}", "merge keys"),
        ("? [a]\n: b", "a key must be a word"),
        ("--- {}\n--- {}", "one document"),
        ("- 1", "a mapping of keys to values"),
        ("[" * 100_000, "more than 64 levels"),
        ("a: \x07", "not YAML"),
        ("a: \ud800", "not YAML"),
        ("a: 'open", "not YAML"),
        ("%YAML 9.9\n--- 1", "not YAML"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, reason: str) -> None:
    assert reason in str(fault(text))


def test_a_billion_laughs_are_refused_before_they_are_counted() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "more than 1000000 values" in str(fault("\n".join(lines)))


def test_a_huge_file_is_refused_unread() -> None:
    assert "characters" in str(fault("#" * (document.LARGEST + 1)))


# Writing


def test_dump_leaves_defaults_out_and_reads_back_the_same() -> None:
    found = document.load(DEMO, "hub.yaml")
    text = document.dump(found)
    assert document.load(text, "dumped") == found
    assert "retries: 5" in text
    assert "on_dead" not in text
    assert "from: adt-feed/in" in text
    assert document.dump(document.load(text, "dumped")) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "no", "010"]), VALUES))
def test_whatever_options_hold_reads_back_the_same(values: dict[str, Any]) -> None:
    before = Configuration.model_validate(
        {
            "version": 1,
            "integrations": [
                {
                    "name": "a",
                    "protocol": "hl7_v2",
                    "endpoints": [{"name": "in", "direction": "inbound", "url": "file:///x", **values}],
                }
            ],
        }
    )
    after = document.load(document.dump(before), "dumped")
    assert json.dumps(after.model_dump(mode="json")) == json.dumps(before.model_dump(mode="json"))


@given(
    st.sampled_from(
        ["no", "1e5", "010", "12:30", "~", "0o7", "1_0", ".5", "1.", "=", "<<", "null", "2024-01-01", "- a"]
    )
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    before = configuration(endpoint("in", "inbound", "x", f", a: {json.dumps(text)}"))
    assert before.integrations[0].endpoints[0].options == {"a": text}
    assert document.load(document.dump(before), "dumped") == before


@given(st.text())
def test_no_text_does_more_than_a_config_error(text: str) -> None:
    try:
        node = document.parse(text, "hub.yaml")
    except ConfigError as error:
        place = str(error)
    else:
        place = node.place
    assert "hub.yaml" in place


# Several files


def test_files_of_a_folder_are_joined() -> None:
    found = document.merge(
        [
            ("a.yaml", "version: 1\norganization: demo\nintegrations: [{name: a, protocol: hl7_v2}]"),
            ("b.yaml", "# nothing but a comment"),
            (
                "c.yaml",
                "organization: demo\nretention: {bodies: 7}\nintegrations: [{name: b, protocol: hl7_v2}]",
            ),
        ]
    )
    assert [item.name for item in found.integrations] == ["a", "b"]
    assert (found.organization, found.retention.bodies) == ("demo", 7)


@pytest.mark.parametrize(
    ("one", "other", "where", "reason"),
    [
        (
            "organization: x",
            "organization: y",
            "organization",
            "a.yaml line 1, column 15 and b.yaml line 1, column 15",
        ),
        ("retention: {bodies: 1}", "retention: {bodies: 2}", "retention.bodies", "disagree"),
        ("version: 1", "version: true", "version", "disagree"),
        ("routes: []", "routes: {}", "routes", "disagree"),
        (
            "integrations: [{name: a, protocol: hl7_v2}]",
            "integrations: [{name: a, protocol: hl7_v2}]",
            "integrations[1].name",
            "'a' has this name already at a.yaml line 1, column 23 (again at b.yaml line 1, column 23)",
        ),
        ("routes: [{name: a, from: a/b}]", "routes: [{name: a, from: a/b}]", "routes[1].name", "b.yaml"),
    ],
)
def test_files_that_disagree_are_named(one: str, other: str, where: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        document.merge([("a.yaml", one), ("b.yaml", other)])
    assert caught.value.where == where
    assert reason in caught.value.reason


def test_a_fault_in_a_joined_file_names_that_file() -> None:
    with pytest.raises(ConfigError, match=r"integrations\[1\].protocol.*b\.yaml line 2, column 36"):
        document.merge(
            [
                ("a.yaml", "version: 1\nintegrations: [{name: a, protocol: hl7_v2}]"),
                ("b.yaml", "\nintegrations: [{name: b, protocol: 7}]"),
            ]
        )


# Checking what refers to what


def test_names_are_unique_and_references_lead_somewhere() -> None:
    found = document.check(
        configuration(
            endpoint("in", "inbound", "mllp://127.0.0.1:1"),
            endpoint("in", "inbound", "mllp://127.0.0.1:2"),
            endpoint("out", "outbound", "mllp://lab:3"),
            routes="[{name: r, from: a/out, to: [a/in, a/out, a/out]}, {name: s, from: a/x, to: [b/out]}]",
        )
    )
    assert found == [
        "integrations[0].endpoints[1].name: 'in' is the name of integrations[0].endpoints[0] already",
        "routes[0].from: a/out is outbound, but must be inbound",
        "routes[0].to[0]: a/in is inbound, but must be outbound",
        "routes[0].to[2]: a/out is named twice",
        "routes[1].from: there is no endpoint a/x",
        "routes[1].to[0]: there is no endpoint b/out",
    ]


def test_names_are_checked_for_what_did_not_come_from_a_file() -> None:
    one = configuration().integrations[0]
    twice = Configuration(version=1, integrations=[one, one])
    assert document.check(twice) == ["integrations[1].name: 'a' is the name of integrations[0] already"]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("mllp://127.0.0.1:2575", "mllp://127.0.0.1:2575", True),
        ("mllp://0.0.0.0:2575", "http://127.0.0.1:2575/x", True),
        ("mllp://[::]:2575", "mllps://10.0.0.1:2575", True),
        ("mllp://localhost:2575", "mllp://[::1]:2575", True),
        ("mllp://[::ffff:10.0.0.1]:2575", "mllp://10.0.0.1:2575", True),
        ("http://HUB.example/a", "http://hub.example:80/b", True),
        ("mllp://:2575", "mllp://10.0.0.1:2575", True),
        ("mllp://10.0.0.1:2575", "mllp://10.0.0.2:2575", False),
        ("mllp://127.0.0.1:2575", "mllp://127.0.0.1:2576", False),
        ("http://127.0.0.1/a", "https://127.0.0.1/a", False),
        ("mllp://127.0.0.1:0", "mllp://127.0.0.1:0", False),
        ("sftp://lab:22/a", "sftp://lab:22/b", False),
    ],
)
def test_two_listeners_cannot_share_a_port(one: str, other: str, clash: bool) -> None:
    found = document.check(configuration(endpoint("x", "inbound", one), endpoint("y", "inbound", other)))
    assert [line.startswith("integrations[0].endpoints[1].url: port clash") for line in found] == [True] * clash


def test_a_sender_may_use_a_listeners_port() -> None:
    same = "mllp://127.0.0.1:2575"
    assert document.check(configuration(endpoint("x", "inbound", same), endpoint("y", "outbound", same))) == []


def test_two_sources_cannot_take_the_same_files() -> None:
    found = document.check(
        configuration(
            endpoint("x", "inbound", "file:///in"),
            endpoint("y", "inbound", "file:///in/", ', pattern: "*"'),
            endpoint("z", "inbound", "file:///in", ', pattern: "*.adt"'),
        )
    )
    assert found == [
        "integrations[0].endpoints[1].url: folder clash with integrations[0].endpoints[0]: both take the same files"
    ]


@pytest.mark.parametrize("url", ["lab:2575", "mllp://lab:99999", "mllp://", "file:relative", "http://[::1", "x"])
def test_a_url_that_leads_nowhere_is_named(url: str) -> None:
    found = document.check(configuration(endpoint("x", "inbound", url)))
    assert len(found) == 1
    assert found[0].startswith("integrations[0].endpoints[0].url: ")


def test_nobody_is_called_as_the_hub_itself() -> None:
    found = document.check(document.load("version: 1\norganization: system\n", "hub.yaml"))
    assert found == ["organization: system is the hub's own name"]


def test_an_integration_may_belong_to_a_study() -> None:
    text = "version: 1\nintegrations:\n  - {name: edc, protocol: rest_api, study: trial-1}\n"
    wanted = document.load(text, "hub.yaml")
    assert wanted.integrations[0].study == "trial-1"
    assert document.check(wanted) == []
    with pytest.raises(ConfigError, match=r"integrations\[0\]\.study"):
        document.load(text.replace("trial-1", "Trial 1"), "hub.yaml")


# The schema


def test_the_schema_is_the_published_one() -> None:
    """The format is public: a change here is a change for every operator.

    After a wanted one: python -c "from hilum.model import document as d; import json;
    print(json.dumps(d.schema(), indent=2))" > tests/model/configuration.schema.json
    """
    assert document.schema() == json.loads(GOLDEN.read_text())


def test_every_key_of_the_schema_is_described() -> None:
    shapes = document.schema()["$defs"]
    keys = [
        (f"{shape['title']}.{name}", key | shapes.get(key.get("$ref", "").rpartition("/")[2], {}))
        for shape in [document.schema(), *shapes.values()]
        for name, key in shape["properties"].items()
    ]
    assert len(keys) > 40
    assert [name for name, key in keys if not key.get("description")] == []
    assert "Route.from" in dict(keys)
