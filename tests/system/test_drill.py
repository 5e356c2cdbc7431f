"""The drill, with a second double in the place of the real Cloudflare: what it tells, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloudflare.launcher import CloudflareDouble
from sandbox.ports import free_port
from sandbox.waiting import until

TESTS = Path(__file__).parents[1]
HOST = "throw-away"
QUICK: Mapping[str, Any] = {"deploy_s": 0.4, "delete_s": 0.5}


@dataclass
class Real:
    """The double that stands for the real Cloudflare, with a port to which its edge leads."""

    double: CloudflareDouble
    port: int
    folder: Path
    zones: list[str] = field(default_factory=list)

    def zone(self) -> str:
        """A fresh one, of whose name nothing may be told."""
        name = f"given-up-{len(self.zones)}.example"
        self.zones.append(name)
        place = {"address": "127.0.0.1", "https_port": self.port, "http_port": free_port()}
        self.double.control.make_zone(name, origins=[place])
        return name

    def command(self, zone: str, *more: str, host: str | None = HOST) -> list[str]:
        """The drill on that zone."""
        token = self.folder / "token"
        token.write_text(f"{self.double.token}\n")
        where = ["--host", f"{host}.{zone}", "--listen", f"127.0.0.1:{self.port}"] if host else []
        return [
            *(sys.executable, "-m", "drill", zone, "--token-file", str(token), *where),
            *("--base-url", self.double.base_url, "--pause", "0.1", "--patience", "20"),
            *("--report", str(self.report(zone)), *more),
        ]

    def environ(self, zone: str) -> dict[str, str]:
        """Where the edge is, and the answer to the drill's question."""
        return {
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "DRILL_YES": zone,
            "AOP_EDGE_CONNECT_TO": self.double.locations[0].https,
            "AOP_EDGE_CA_FILE": str(self.double.edge_ca_file),
        }

    def report(self, zone: str) -> Path:
        """The folder of its report."""
        return self.folder / zone

    def drill(self, zone: str, *more: str, host: str | None = HOST, **environ: str) -> Done:
        """Run it to its end."""
        done = subprocess.run(
            self.command(zone, *more, host=host),
            env=self.environ(zone) | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        path = self.report(zone) / "report.json"
        report = json.loads(path.read_text()) if path.exists() else {}
        return Done(done.returncode, done.stdout + done.stderr, report.get("differences", []))

    def as_found(self, zone: str) -> bool:
        """Whether nothing is left there."""
        state = self.double.control.zone(zone)
        living = [one for one in state["certificates"] if one["status"] != "deleted"]
        return not state["enabled"] and not living

    def changes(self, zone: str) -> list[Any]:
        """Every call that has changed something in that zone."""
        zone_id = self.double.control.zone(zone)["id"]
        calls: list[Any] = self.double.control.calls(method="!GET", path=f"*{zone_id}*")
        return calls


@dataclass(frozen=True)
class Done:
    """How a drill ended."""

    status: int
    output: str
    differences: Sequence[Mapping[str, Any]]

    def matter(self) -> set[tuple[str, str]]:
        """What is otherwise, and at which step."""
        return {(one["step"], one["what"]) for one in self.differences if one["matters"]}


@pytest.fixture(scope="module")
def cloudflare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    folder, port = tmp_path_factory.mktemp("drill"), free_port()
    with CloudflareDouble(folder / "double", [("127.0.0.1", port, free_port())]) as double:
        yield Real(double, port, folder)


@pytest.fixture(autouse=True)
def _as_before(cloudflare: Real) -> Iterator[None]:
    with cloudflare.double.control.restored():
        cloudflare.double.control.turn(**QUICK)
        yield


def test_where_cloudflare_is_as_the_double_nothing_differs_and_nothing_is_told(
    cloudflare: Real,
) -> None:
    zone = cloudflare.zone()
    done = cloudflare.drill(zone)
    assert (done.status, done.matter()) == (0, set()), done.output
    assert cloudflare.as_found(zone)
    state = cloudflare.double.control.zone(zone)
    secrets = [zone, HOST, cloudflare.double.token, state["id"]]
    secrets += [one["id"] for one in state["certificates"]]
    assert len(secrets) > 6
    for name in ("report.md", "report.json"):
        text = (cloudflare.report(zone) / name).read_text()
        assert len(text) > 1000
        assert [secret for secret in secrets if secret in text] == []
        assert "BEGIN" not in text


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"key_mismatch_code": 2100}, ("upload with another key", "HTTP status and codes")),
        ({"failure_result": "null"}, ("upload an authority", "field result")),
        (
            {"initializing_s": 0.5, "deploy_s": 1.5},
            ("upload a certificate", "status of the certificate"),
        ),
        ({"resurrect": True}, ("the same id comes back", "outcome")),
    ],
    ids=["another code", "a field more", "a slow deployment", "another identity"],
)
def test_what_is_otherwise_is_told(
    cloudflare: Real, knobs: dict[str, Any], expected: tuple[str, str]
) -> None:
    cloudflare.double.control.turn(**knobs)
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, host=None)
    differences = {(one["step"], one["what"]) for one in done.differences}
    assert expected in differences, done.output
    assert done.status == (3 if done.matter() else 0)
    assert cloudflare.as_found(zone)


def test_what_the_edge_does_otherwise_is_told(cloudflare: Real) -> None:
    cloudflare.double.control.turn(after_newest_deleted="nothing")
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, "--patience", "4")
    assert ("present what is left", "what the edge presents") in done.matter(), done.output
    assert done.status == 3
    assert cloudflare.as_found(zone)


def test_a_deletion_that_is_refused_is_told_and_the_zone_is_put_back(cloudflare: Real) -> None:
    """Whether the last certificate of an enabled zone may be deleted is not known of the real one."""
    cloudflare.double.control.turn(keep_last_active=True)
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, "--patience", "4", host=None)
    assert ("delete the last", "outcome") in done.matter(), done.output
    assert done.status == 3
    assert cloudflare.as_found(zone)


def test_a_deployment_that_fails_ends_the_exercise_and_leaves_nothing(cloudflare: Real) -> None:
    cloudflare.double.control.turn(deploy_ends="deployment_timed_out")
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, host=None)
    assert done.status == 1
    assert "could not deploy" in done.output
    assert cloudflare.as_found(zone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_puts_everything_back(cloudflare: Real, number: signal.Signals) -> None:
    zone = cloudflare.zone()
    running = started(cloudflare, zone)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert cloudflare.as_found(zone)


def test_killed_it_is_followed_by_one_that_takes_away_what_was_left(cloudflare: Real) -> None:
    zone = cloudflare.zone()
    running = started(cloudflare, zone)
    running.kill()
    running.communicate(timeout=60)
    assert not cloudflare.as_found(zone)
    done = cloudflare.drill(zone, host=None)
    assert done.status == 0, done.output
    assert "An earlier drill" in done.output
    assert cloudflare.as_found(zone)


def started(cloudflare: Real, zone: str) -> subprocess.Popen[str]:
    """A drill that has enabled the zone, and holds a certificate there."""
    running = subprocess.Popen(
        cloudflare.command(zone, host=None),
        env=cloudflare.environ(zone),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(
        lambda: cloudflare.double.control.zone(zone)["enabled"] or running.poll() is not None,
        within_s=90,
        describe="the drill to enable the zone",
    )
    assert running.poll() is None
    return running


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda control, zone: control.upload(zone), "Somebody uses"),
        (lambda control, zone: control.change_zone(zone, enabled=True), "are enabled"),
        (lambda control, zone: control.change_zone(zone, global_aop="on"), "Somebody uses"),
        (lambda control, zone: control.change_zone(zone, ssl="flexible"), "SSL mode"),
        (
            lambda control, zone: control.associate(f"www.{zone}", zone, enabled=False),
            "Somebody uses",
        ),
        (lambda control, zone: control.change_zone(zone, status="pending"), "not active"),
    ],
    ids=["a certificate", "enabled", "the global switch", "SSL mode", "a host", "pending"],
)
def test_a_zone_that_somebody_uses_is_left_alone(cloudflare: Real, change: Any, word: str) -> None:
    zone = cloudflare.zone()
    change(cloudflare.double.control, zone)
    done = cloudflare.drill(zone, host=None)
    assert done.status == 1
    assert word in done.output
    assert cloudflare.changes(zone) == []


def test_a_host_that_leads_elsewhere_is_told_before_anything_is_changed(cloudflare: Real) -> None:
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, "--listen", f"127.0.0.1:{free_port()}")
    assert done.status == 1
    assert "do not arrive" in done.output
    assert cloudflare.changes(zone) == []


def test_without_the_zones_name_as_an_answer_nothing_is_changed(cloudflare: Real) -> None:
    zone = cloudflare.zone()
    done = cloudflare.drill(zone, host=None, DRILL_YES="yes")
    assert done.status == 1
    assert "nothing was changed" in done.output
    assert cloudflare.changes(zone) == []
