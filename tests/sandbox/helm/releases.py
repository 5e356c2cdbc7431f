"""Helm as a platform team uses it: one release in one namespace of one control plane.

Helm gets folders of its own for whatever it keeps, so that a test neither sees nor changes a
person's repositories and plugins.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[3] / "deploy/helm/aop-operator"

Values = Mapping[str, Any]


class HelmFailed(Exception):
    """Helm ended with a status other than 0.

    The message has its arguments and everything that it wrote.
    """


@dataclass(frozen=True, slots=True)
class Helm:
    """A program, and the folder where it may keep things; `kubeconfig` is whom it is, and None where it asks no cluster."""

    program: Path
    folder: Path
    kubeconfig: Path | None = None

    def run(self, *arguments: str | Path, within_s: float = 120) -> str:
        """Run it and return everything that it wrote, stdout before stderr.

        Raises:
            HelmFailed: its exit status was not 0.
        """
        done = self._run(arguments, within_s)
        return done.stdout + done.stderr

    def lint(self, chart: Path = CHART, values: Path | Values | None = None) -> str:
        """`helm lint --strict`."""
        return self.run("lint", "--strict", chart, *self._values(values))

    def template(
        self,
        release: str,
        namespace: str,
        values: Path | Values | None = None,
        *,
        chart: Path = CHART,
    ) -> list[dict[str, Any]]:
        """The objects that the chart renders to, hooks included."""
        rendered = self._run(
            self._of_chart("template", release, namespace, values, chart), 60
        ).stdout
        return [document for document in yaml.safe_load_all(rendered) if document]

    def install(
        self,
        release: str,
        namespace: str,
        values: Path | Values | None = None,
        *,
        chart: Path = CHART,
    ) -> str:
        """`helm install --create-namespace`; it does not wait for pods."""
        return self.run(
            *self._of_chart("install", release, namespace, values, chart), "--create-namespace"
        )

    def upgrade(
        self,
        release: str,
        namespace: str,
        values: Path | Values | None = None,
        *,
        chart: Path = CHART,
    ) -> str:
        """`helm upgrade` with exactly these values."""
        return self.run(
            *self._of_chart("upgrade", release, namespace, values, chart), "--reset-values"
        )

    def rollback(self, release: str, namespace: str, revision: int) -> str:
        """`helm rollback` to a revision."""
        return self.run("rollback", release, str(revision), "--namespace", namespace)

    def uninstall(self, release: str, namespace: str, *flags: str) -> str:
        """`helm uninstall`."""
        return self.run("uninstall", release, "--namespace", namespace, "--timeout=60s", *flags)

    def revisions(self, release: str, namespace: str) -> list[tuple[int, str]]:
        """Number and status of every revision, the oldest first."""
        history = json.loads(
            self._run(("history", release, "--namespace", namespace, "--output=json"), 60).stdout
        )
        return [(one["revision"], one["status"]) for one in history]

    def _of_chart(
        self,
        command: str,
        release: str,
        namespace: str,
        values: Path | Values | None,
        chart: Path,
    ) -> Sequence[str | Path]:
        return (command, release, chart, "--namespace", namespace, *self._values(values))

    def _values(self, values: Path | Values | None) -> Sequence[str | Path]:
        if values is None:
            return ()
        if isinstance(values, Path):
            return ("--values", values)
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        return ("--values", file)

    def _run(
        self, arguments: Sequence[str | Path], within_s: float
    ) -> subprocess.CompletedProcess[str]:
        places = {
            f"HELM_{name}_HOME": str(self.folder / name.lower())
            for name in ("CACHE", "CONFIG", "DATA")
        }
        environment = {**os.environ, **places, "KUBECONFIG": str(self.kubeconfig or os.devnull)}
        command = [self.program, *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
        if done.returncode != 0:
            raise HelmFailed(f"helm {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}")
        return done
