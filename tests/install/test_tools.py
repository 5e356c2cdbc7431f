"""What `kubectl explain` says of the resource, and what a fresh object looks like to tools before any operator has seen it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kstatus import Health, health
from sandbox.kubernetes.kubectl import KubectlError
from sandbox.kubernetes.plane import ControlPlane
from sandbox.scene import path_of, pull
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.usefixtures("tidied")]


def schemas(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a schema with the path that `kubectl explain` takes."""
    for name, one in schema.get("properties", {}).items():
        inner = one.get("items", one)
        if "properties" in inner:
            yield f"{path}.{name}", inner
            yield from schemas(inner, f"{path}.{name}")


def test_kubectl_explain_answers_with_a_sentence_for_every_field(plane: ControlPlane) -> None:
    (file,) = (ROOT / "crds").glob("*.yaml")
    plane.apply(file)
    root = yaml.safe_load(file.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = list(schemas(root, "aop"))
    assert "aop.spec.origins.ingressNginx.configMapRef" in {path for path, _ in fields}
    # The API server publishes its OpenAPI a moment after it serves the resource.
    until(
        lambda: plane.kubectl("explain", "aop"),
        within_s=30,
        describe="kubectl to know the resource",
        ignoring=(KubectlError,),
    )
    for path, schema in fields:
        explained = plane.kubectl("explain", path)
        assert "<no description>" not in explained, explained
        for name, one in schema["properties"].items():
            assert f"\n  {name}\t" in explained
            assert one["description"].rstrip().endswith((".", ")")), f"{path}.{name}"


def test_an_object_that_nobody_has_looked_at_is_not_taken_for_healthy(plane: ControlPlane) -> None:
    (file,) = (ROOT / "crds").glob("*.yaml")
    plane.apply(file)
    namespace = plane.create_namespace("edge")
    plane.apply(pull(namespace=namespace))
    fresh = plane.http.get(path_of(namespace, "example-com")).raise_for_status().json()
    assert health(fresh) is Health.IN_PROGRESS
