"""The generated schema: structural, described, bounded, and each of its rules refused by some manifest of the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aop import api, crd
from aop.schema import VALIDATIONS
from sandbox import corpus

ROOT = Path(__file__).parents[2]
FILE = ROOT / "crds" / "aop-operator.dev_authenticatedoriginpulls.yaml"

STRUCTURAL = {
    *(
        "description",
        "type",
        "format",
        "enum",
        "default",
        "required",
        "properties",
        "items",
        "maxItems",
        "minItems",
        "maxLength",
    ),
    *(
        "minLength",
        "minimum",
        "maximum",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        VALIDATIONS,
    ),
}


def version() -> dict[str, Any]:
    (served,) = crd.manifest()["spec"]["versions"]
    return dict(served)


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def root() -> dict[str, Any]:
    return dict(version()["schema"]["openAPIV3Schema"])


def test_the_printed_text_reads_back_as_the_manifest() -> None:
    assert yaml.load(FILE.read_text(), Loader=yaml.CSafeLoader) == crd.manifest()


def test_nothing_is_said_that_a_structural_schema_does_not_know() -> None:
    for path, schema in walk(root()):
        assert set(schema) <= STRUCTURAL, path
        assert isinstance(schema.get("type"), str), path


def test_every_property_is_described_in_a_sentence() -> None:
    for path, schema in walk(root()):
        if path.endswith("[]") or path == ".metadata":
            continue
        description = schema.get("description", "")
        assert description.endswith("."), path
        assert len(description) > 10, path
        assert "\n" not in description, path


def test_everything_that_a_user_writes_is_bounded() -> None:
    """The API server refuses a rule whose worst case it cannot bound."""
    for path, schema in walk(root()["properties"]["spec"], "spec"):
        if schema["type"] == "array":
            assert schema["maxItems"] <= 100, path
            assert "x-kubernetes-list-type" in schema, path
        if schema["type"] == "string" and "enum" not in schema:
            assert schema["maxLength"] <= 254, path


def rules() -> list[tuple[str, dict[str, str]]]:
    return [(path, rule) for path, schema in walk(root()) for rule in schema.get(VALIDATIONS, ())]


def test_every_rule_says_in_the_imperative_what_to_write() -> None:
    for path, rule in rules():
        assert rule["message"].startswith("write ") or "oldSelf" in rule["rule"], path


@pytest.mark.parametrize(
    "rule",
    [rule for _, rule in rules() if "oldSelf" not in rule["rule"]],
    ids=lambda rule: rule["message"][:60],
)
def test_every_rule_refuses_some_manifest_of_the_corpus(rule: dict[str, str]) -> None:
    assert [case.name for case in corpus.invalid() if rule["message"].startswith(case.server_says)]


def test_no_default_stands_inside_a_choice_that_can_be_changed() -> None:
    """A default that puts one source of the certificate into the stored object would stay there beside the other (see `Spec.certificate`)."""
    assert "default" not in root()["properties"]["spec"]["properties"]["certificate"]


def test_conditions_are_merged_by_type_and_status_has_its_own_endpoint() -> None:
    conditions = root()["properties"]["status"]["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == (
        "map",
        ["type"],
    )
    assert conditions["items"]["required"] == ["type", "status", "lastTransitionTime", "reason"]
    assert version()["subresources"] == {"status": {}}


def test_the_names_are_the_documented_ones() -> None:
    names = crd.manifest()["spec"]["names"]
    assert (names["kind"], names["plural"], names["shortNames"]) == (api.KIND, api.PLURAL, ["aop"])
    assert crd.manifest()["metadata"]["name"] == "authenticatedoriginpulls.aop-operator.dev"
    assert [column["name"] for column in version()["additionalPrinterColumns"]] == [
        "Zone",
        "Enforcement",
        "Ready",
        "Status",
        "Expires",
        "Age",
    ]


def test_a_minimal_object_needs_a_zone_a_token_and_an_origin() -> None:
    assert root()["properties"]["spec"]["required"] == ["zone", "credentials", "origins"]
