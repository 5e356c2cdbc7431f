"""What the resource's models are made of.

A strict base model, and constraints that are written once and checked twice. The API server checks
a `Rule` as CEL (validation is in the schema, so that no webhook has to be kept alive). The models
check the same rule in Python, because an object may have passed the schema of another version.
`aop.crd` reads what the models say here through pydantic's JSON schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self
from unicodedata import normalize

import idna
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One constraint.

    `cel` for the API server, `holds` for Python, and one message that says what to write instead.

    In `Annotated[…]` it constrains a field's value; in `Model.rules` a whole object. A rule without
    `holds` compares with the stored object (`oldSelf`), which only the API server can do.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    field_path: str | None = None
    """For a rule on an object: the field that the message is about, as in `.size`."""

    def check(self, value: Any) -> Any:
        """`value`, if the rule holds for it.

        Pydantic turns what is raised into an error at the field.
        """
        if self.holds is not None and not self.holds(value):
            where = {} if self.field_path is None else {"field_path": self.field_path}
            raise PydanticCustomError("rule", self.message, where)
        return value

    def validation(self) -> dict[str, str]:
        """The rule as one item of `x-kubernetes-validations`."""
        item = {"rule": self.cel, "message": self.message}
        return item if self.field_path is None else {**item, "fieldPath": self.field_path}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = handler(schema)
        json_schema[VALIDATIONS] = [*json_schema.get(VALIDATIONS, ()), self.validation()]
        return json_schema


@dataclass(frozen=True, slots=True)
class ListType:
    """How the API server merges a list: `set` or `map`.

    Either way it refuses duplicates, and so does `Annotated[…]` here.
    """

    kind: str
    key: str | None = None
    """For `map`: the field that tells items apart."""

    def check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """`items`, if no two are the same; the message is the API server's own."""
        names = [item if self.key is None else getattr(item, self.key) for item in items]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise PydanticCustomError(
                "duplicate", "Duplicate value: {twice}", {"twice": ", ".join(twice)}
            )
        return items

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        keys = {} if self.key is None else {"x-kubernetes-list-map-keys": [self.key]}
        return {**handler(schema), "x-kubernetes-list-type": self.kind, **keys}


class Model(BaseModel):
    """A part of the resource: camelCase outside, frozen, nothing unknown.

    The docstring of a field is its description.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = handler(schema)
        if cls.rules:
            handler.resolve_ref_schema(json_schema)[VALIDATIONS] = [
                rule.validation() for rule in cls.rules
            ]
        return json_schema


def matching(pattern: str, message: str) -> Rule:
    """A field's text matches `pattern` as a whole.

    A rule and not the schema's `pattern`, whose message shows a regular expression.
    """
    known = re.compile(pattern)
    return Rule(
        f"self.matches(r'^({pattern})$')", message, lambda text: known.fullmatch(text) is not None
    )


def ascii_name(name: str) -> str:
    """A domain name, or a wildcard, in the one form in which names are compared.

    The form of DNS, certificates and Kubernetes. `bücher.example` and `xn--bcher-kva.example` are
    one name; Cloudflare lists the first (facts: cloudflare#unicode-names), an Ingress takes the
    second. A name that IDNA does not allow (an emoji) is written the same way, because it may be
    registered all the same.
    """
    if name.isascii():
        return name
    wildcard, below = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    try:
        return wildcard + idna.encode(below, uts46=True).decode()
    except UnicodeError:
        labels = normalize("NFC", below.lower()).split(".")
    try:
        return wildcard + ".".join(
            label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
            for label in labels
        )
    except UnicodeError:
        return name


def _in_ascii(value: Any) -> Any:
    """A name that the API server lets in, in one form; it lets in capitals in neither."""
    return ascii_name(value) if isinstance(value, str) and not re.search("[A-Z]", value) else value


def _domain(first: str, more: str) -> str:
    """A pattern of domain names whose labels begin and end with `first`, with `more` within."""
    label = f"{first}({more}{{0,61}}{first})?"
    return rf"({label}\.)+{first.replace('0-9', '')}({more}{{0,61}}{first})?"


_ASCII = "[a-z0-9]", "[-a-z0-9]"
_EITHER = r"[a-z0-9\x{80}-\x{10FFFF}]", r"[-a-z0-9\x{80}-\x{10FFFF}]"
"""In the notation of RE2, which the API server uses."""
_WILDCARD = r"(\*\.)?"


def _named(prefix: str, message: str) -> Rule:
    """A name in either form for the API server, which cannot compare them.

    The models only see the one form.
    """
    known = re.compile(prefix + _domain(*_ASCII))
    return Rule(
        f"self.matches(r'^({prefix}{_domain(*_EITHER)})$')",
        message,
        lambda text: known.fullmatch(text) is not None,
    )


DomainName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    BeforeValidator(_in_ascii),
    _named(
        "",
        "write a domain name in lower case such as example.com: no scheme, port, path or final dot, IDN as it is read or in the xn-- form",
    ),
]
"""A concrete domain name: labels of at most 63 characters, 253 in all. Written in either form, kept
in that of `ascii_name`."""

HostnamePattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    BeforeValidator(_in_ascii),
    _named(
        _WILDCARD,
        "write a hostname in lower case such as www.example.com, or one whose whole first label is an asterisk, such as *.example.com",
    ),
]
"""A concrete domain name, or a wildcard whose whole first label is the asterisk; in either form, as
`DomainName`."""

NAMES_AN_OBJECT = matching(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "write the name of a Kubernetes object: a-z, 0-9, - and . only",
)

ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253), NAMES_AN_OBJECT]
"""The name of a Kubernetes object (DNS subdomain)."""

LabelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    matching(
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "write a name of a-z, 0-9 and - only, which begins and ends with a letter or a digit",
    ),
]
"""A DNS label: the name of a namespace, or of an item in a list."""

# The digits are bounded so that nothing well-formed overflows CEL's duration (int64 nanoseconds,
# about 292 years).
DURATION = "[0-9]{1,6}h([0-9]{1,8}m)?([0-9]{1,9}s)?|[0-9]{1,8}m([0-9]{1,9}s)?|[0-9]{1,9}s"

Duration = Annotated[
    str,
    StringConstraints(min_length=2, max_length=24),
    matching(
        DURATION,
        "write a duration in whole hours, minutes and seconds, such as 17520h, 1h30m or 180s",
    ),
]
"""A span of time as Go and cert-manager write it; `timedelta_of` gives its value."""


def timedelta_of(duration: str) -> timedelta:
    """The value of a `Duration` such as `1h30m`; raises ValueError for anything else."""
    if re.fullmatch(DURATION, duration) is None:
        raise ValueError(f"not a duration in hours, minutes and seconds: {duration!r}")
    value = {unit: int(count) for count, unit in re.findall("([0-9]+)([hms])", duration)}
    return timedelta(hours=value.get("h", 0), minutes=value.get("m", 0), seconds=value.get("s", 0))
