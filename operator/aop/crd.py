"""The CustomResourceDefinition, made from the models of `aop.api`.

What a user may write is defined once. The operator never applies it: that is for whoever installs.
`make check` compares `crds/` with what this makes, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from aop.api import API_VERSION, GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION, Spec, Status
from aop.api.resource import NAME_RULE
from aop.schema import VALIDATIONS, Model

HEADER = "# Generated from operator/aop/api by `make generate`; do not edit.\n"

NOT_LOOKED_AT = {"observedGeneration": -1}
"""The status of an object that no operator has looked at yet, so that tools which go by kstatus
wait: they take an object without conditions for healthy."""

# What JSON Schema has and a structural schema does not know; `extra="forbid"` is the API server's
# strict field validation.
_UNKNOWN = {"title", "additionalProperties", "$defs"}
_LEADING = ("description", "type", "format", "enum", "default", "required", "properties", "items")


def manifest() -> dict[str, Any]:
    """The CustomResourceDefinition as a manifest.

    Plain dicts and lists, keys in the order in which people read them.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": ["cloudflare"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def _columns() -> list[dict[str, Any]]:
    def column(name: str, path: str, description: str, kind: str = "string") -> dict[str, Any]:
        return {"name": name, "type": kind, "jsonPath": path, "description": description}

    ready = '.status.conditions[?(@.type=="Ready")]'
    return [
        column("Zone", ".spec.zone.name", "The Cloudflare zone."),
        column(
            "Enforcement",
            ".status.enforcement",
            "How far the origins really go, as their own answers show.",
        ),
        column(
            "Ready", f"{ready}.status", "Whether the zone and its origins are as the spec asks."
        ),
        column(
            "Status", f"{ready}.message", "What the operator waits for, since when, and what to do."
        ),
        # As a string: a column of type date shows how long ago something was, and for the future it
        # shows <invalid>.
        column("Expires", ".status.certificate.notAfter", "When the certificate expires."),
        column(
            "Age", ".metadata.creationTimestamp", "How long ago the object was created.", "date"
        ),
    ]


def _root() -> dict[str, Any]:
    return {
        "description": "Zone-level Authenticated Origin Pulls of one Cloudflare zone, and the origins that are to let only Cloudflare in.",
        "type": "object",
        "properties": {
            "apiVersion": {
                "description": f"The version of the resource: {API_VERSION}.",
                "type": "string",
            },
            "kind": {"description": f"The kind of the resource: {KIND}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": {"description": "What is wanted for one Cloudflare zone.", **_structural(Spec)},
            "status": {
                "description": "What the operator saw, and how far that is from the spec.",
                "default": NOT_LOOKED_AT,
                **_structural(Status),
            },
        },
        "required": ["spec"],
        VALIDATIONS: [NAME_RULE.validation()],
    }


def _structural(model: type[Model]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return _inlined(schema, schema.get("$defs", {}))


def _inlined(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` as a structural schema.

    It has no references, no null as an alternative, and only what an API server accepts.
    """
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[schema["$ref"].rsplit("/", 1)[1]], **rest}, definitions)
    if "anyOf" in schema:
        (present,) = (
            alternative for alternative in schema["anyOf"] if alternative != {"type": "null"}
        )
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
        return _inlined({**present, **rest}, definitions)
    out = {
        key: value
        for key, value in schema.items()
        if key not in _UNKNOWN and not _empty_default(key, value)
    }
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    if "properties" in out:
        out["properties"] = {
            name: _inlined(value, definitions) for name, value in out["properties"].items()
        }
    if "items" in out:
        out["items"] = _inlined(out["items"], definitions)
    leading = [key for key in _LEADING if key in out]
    return {key: out[key] for key in (*leading, *(key for key in out if key not in _LEADING))}


def _empty_default(key: str, value: Any) -> bool:
    # An absent list or text reads the same, and what is not stored cannot be taken for something
    # that a user wrote.
    return key == "default" and value in (None, [], "")


def text() -> str:
    """The manifest as YAML, as it stands in `crds/`."""
    return HEADER + yaml.safe_dump(manifest(), sort_keys=False, width=140, allow_unicode=True)
