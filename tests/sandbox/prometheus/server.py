"""A real Prometheus that reads operators every second, and judges rules as often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.waiting import until

JOB = "aop-operator"
"""The job that the chart's rules speak of, before it puts the release's own there."""
SCRAPED_EVERY = "1s"
READY_WITHIN_S = 60.0


class Prometheus:
    """A context manager.

    `targets` are `host:port` of each operator's metrics, by the pod that it would be.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        targets: Mapping[str, str],
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        self._program = program
        self._folder = folder
        self._targets = targets
        self._rules = rules or {"groups": []}
        self._port = free_port()
        self._child: Child | None = None
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}/", trust_env=False, timeout=10
        )

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [
            {"targets": [target], "labels": {"pod": pod}} for pod, target in self._targets.items()
        ]
        settings = {
            "global": {"scrape_interval": SCRAPED_EVERY, "evaluation_interval": SCRAPED_EVERY},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": JOB, "honor_labels": True, "static_configs": command}],
        }
        (self._folder / "rules.yaml").write_text(yaml.safe_dump(dict(self._rules)))
        (self._folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        arguments = (
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        )
        self._child = Child([self._program, *arguments], log=self._folder / "prometheus.log")
        until(
            self._answers,
            within_s=READY_WITHIN_S,
            describe=lambda: f"Prometheus to answer:\n{self._last_words()}",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        if self._child is not None:
            self._child.kill()

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that is pending or fires, with its labels, annotations and state."""
        firing: list[dict[str, Any]] = self._ask("api/v1/alerts")["alerts"]
        return firing

    def unhealthy(self) -> list[str]:
        """What the last evaluation of each rule has failed of."""
        groups = self._ask("api/v1/rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What an expression comes to now, series by series."""
        samples: list[dict[str, Any]] = self._ask("api/v1/query", query=expr)["result"]
        return samples

    def query_range(
        self, expr: str, since: float, until_: float, step_s: float
    ) -> Sequence[dict[str, Any]]:
        """What it came to from one moment to another (seconds since 1970), series by series."""
        samples: Sequence[dict[str, Any]] = self._ask(
            "api/v1/query_range",
            query=expr,
            start=str(since),
            end=str(until_),
            step=str(step_s),
        )["result"]
        return samples

    def _ask(self, path: str, **parameters: str) -> Any:
        answer = self._http.get(path, params=parameters)
        body = answer.json()
        if body["status"] != "success":
            raise ValueError(f"{path} {parameters}: {body.get('error')}")
        return body["data"]

    def _answers(self) -> bool:
        if self._child is None or not self._child.alive:
            raise RuntimeError(f"Prometheus ended:\n{self._last_words()}")
        try:
            return self._http.get("-/ready").is_success
        except httpx.HTTPError:
            return False

    def _last_words(self) -> str:
        return self._child.last_words() if self._child else ""
