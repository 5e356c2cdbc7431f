"""Writes every generated file, or tells which are stale: `make generate`, and `make check` with --check.

Helm is needed only where something that deploy/manifests is rendered from has changed, or what was
rendered was edited; it is built, where it is missing, only then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import chart
import dashboard
import documents
import metrics_page
import reference

from aop import crd

ROOT = chart.ROOT
STATUS = Path("docs/status.md")
CRD = Path("crds/aop-operator.dev_authenticatedoriginpulls.yaml")
STEPS: tuple[Callable[[], Mapping[Path, str]], ...] = (
    lambda: {CRD: crd.text()},
    lambda: {Path("docs/reference.md"): reference.reference()},
    lambda: {Path("docs/metrics.md"): metrics_page.page()},
    lambda: {STATUS: reference.with_troubleshooting(read(STATUS) or "")},
    documents.pages,
    lambda: {chart.CHART / "files/dashboard.json": dashboard.text()},
    chart.by_reading,
)
"""In order: what comes later is made from what was written before."""


def main(*, check: bool) -> int:
    """Write, or compare; returns the exit code."""
    stale: list[Path] = []
    for step in STEPS:
        stale += differing(step(), write=not check)
    if read(chart.RENDERED_FROM) != chart.seal():
        stale += [chart.MANIFESTS] if check else rendered()
    for path in stale:
        print(f"{path} {'is not current: run `make generate`' if check else 'written'}")
    return 1 if check and stale else 0


def rendered() -> list[Path]:
    """What helm makes; files that it makes no more are removed."""
    made = chart.by_rendering()
    for path in [
        one for one in (ROOT / chart.MANIFESTS).rglob("*.yaml") if one.relative_to(ROOT) not in made
    ]:
        path.unlink()
    written = differing(made, write=True)
    return [*written, *differing({chart.RENDERED_FROM: chart.seal()}, write=True)]


def differing(made: Mapping[Path, str], *, write: bool) -> list[Path]:
    """Those that read otherwise in the repository."""
    other = [path for path, text in made.items() if read(path) != text]
    for path in other if write else ():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(made[path])
    return other


def read(path: Path) -> str | None:
    """A file of the repository; None if it is not there."""
    return (ROOT / path).read_text() if (ROOT / path).is_file() else None


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
