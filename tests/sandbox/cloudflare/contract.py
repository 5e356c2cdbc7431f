"""Whether an answer is one that Cloudflare's own OpenAPI description allows.

For tests; `openapi.json` carries its licence and what was changed.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker

from sandbox.cloudflare.gate import BASE

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]  # jsonschema has no types
def _is_a_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Contract:
    """The description, read once."""

    def __init__(self) -> None:
        described = json.loads(Path(__file__).with_name("openapi.json").read_text())
        self.paths: dict[str, Any] = described["paths"]
        self._components = _as_json_schema(described["components"])

    def operation(self, method: str, path: str) -> tuple[str, Any] | None:
        """The path template and the operation for a path below or with `/client/v4`; None where the description knows neither.

        A literal path goes before a template.
        """
        path = path.removeprefix(BASE)
        for template in sorted(self.paths, key=lambda one: one.count("{")):
            pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in self.paths[template]:
                return template, self.paths[template][method.lower()]
        return None

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Compare one answer with the description.

        Raises:
            AssertionError: the operation, or this status of it, is not described, or the body is not as described.
        """
        operation = self.operation(method, path)
        assert operation, f"{method} {path} is not in the description"
        responses = operation[1]["responses"]
        described = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        assert described, f"{method} {path} does not answer {status}, only {sorted(responses)}"
        schema = _as_json_schema(described["content"]["application/json"]["schema"])
        validator = Draft7Validator(
            {**schema, "components": self._components}, format_checker=_formats
        )
        wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
        assert not wrong, f"{method} {path} {status}: {wrong}"


def _as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema says that null is one of the types."""
    if isinstance(node, list):
        return [_as_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {name: _as_json_schema(value) for name, value in node.items() if name != "nullable"}
    if node.get("nullable") is not True:
        return made
    if isinstance(made.get("enum"), list):
        made["enum"] = [*made["enum"], None]
    return {"anyOf": [made, {"type": "null"}]}
