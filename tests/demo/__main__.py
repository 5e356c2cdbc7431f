"""`python -m demo` (`make demo`): onboard, prove, require, refuse strangers, remove, on real parts and under a steady stream of visitors.

`python -m demo nginx` (`make demo ORIGIN=nginx`) does it with that origin instead of ingress-nginx.
Exit status 0 only if every word of the last line is true.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo.telling import Telling
from sandbox.composition import MANIFESTS, ROOT, Layout, manifests_for
from sandbox.direct import Visitor
from sandbox.following import Following
from sandbox.load import LoadThread, Report
from sandbox.scene import NAMESPACE, Scene, path_of
from sandbox.waiting import NotInTimeError

EXAMPLES = ROOT / "deploy" / "examples"


@dataclass(frozen=True, slots=True)
class DemoOrigin:
    """With which origin the story is told."""

    origin: str
    layout: Layout
    example: Path
    enforced_within_s: float


SETTINGS = {
    "ingress-nginx": DemoOrigin(
        "two replicas of ingress-nginx", Layout(manifests=MANIFESTS), EXAMPLES, 90
    ),
    **{
        kind: DemoOrigin(
            f"two replicas of {server} in a Deployment",
            Layout(workload="Deployment", server=kind, manifests=manifests_for(kind)),
            EXAMPLES / kind / "authenticatedoriginpull.yaml",
            240,
        )
        for kind, server in {
            "nginx": "NGINX",
            "apache": "Apache",
            "haproxy": "HAProxy",
            "caddy": "Caddy",
            "traefik": "Traefik",
        }.items()
    },
    "gateway": DemoOrigin(
        "two proxies of a Gateway of Envoy Gateway",
        Layout(workload="Deployment", server="gateway", manifests=manifests_for("gateway")),
        EXAMPLES / "gateway" / "authenticatedoriginpull.yaml",
        240,
    ),
}
ZONE = HOST = "example.com"
LEAVES_AFTER = {"FRA": 400, "AMS": 40, "IAD": 25}
"""After how many requests a location closes a connection to the origin, so that sessions are
resumed as they are at the real edge."""


@dataclass(slots=True)
class Outcome:
    """What the last line tells."""

    enforced_s: float | None = None
    refusing: int = 0
    replicas: int = 0
    removed: bool = False
    left: list[str] = field(default_factory=list)
    """What is not as it was found."""
    visitors: Report | None = None

    @property
    def good(self) -> bool:
        """Everything is as promised."""
        strangers = bool(self.replicas) and self.refusing == self.replicas
        return (
            self.enforced_s is not None
            and strangers
            and self.removed
            and not self.left
            and bool(self.visitors and self.visitors.flawless)
        )

    def __str__(self) -> str:
        enforced = (
            f"enforced in {self.enforced_s:.0f} s"
            if self.enforced_s is not None
            else "NOT enforced"
        )
        edge = self.visitors.edge if self.visitors else None
        requests = f"edge requests {edge.ok if edge else 0} ok, {self.visitors.total.failed if self.visitors else 0} failed"
        restored = "removed, NOT restored" if self.left else "removed and restored"
        removed = restored if self.removed else "NOT removed"
        return f"demo: {enforced}; {requests}; strangers refused on {self.refusing}/{self.replicas} replicas; {removed}"


class Story:
    """The chapters, in order."""

    def __init__(
        self, scene: Scene, setting: DemoOrigin, visitors: LoadThread, telling: Telling
    ) -> None:
        self._scene, self._visitors, self._telling = scene, visitors, telling
        self._setting = setting
        self.outcome = Outcome(replicas=len(scene.sandbox.replicas()))

    def onboard(self) -> None:
        """Apply the examples and wait until every replica requires the certificate."""
        example = self._setting.example.relative_to(ROOT)
        self._telling.title(
            f"kubectl apply -f {example}{'/' if self._setting.example.is_dir() else ''}"
        )
        self._ask_directly()
        applied_s = time.monotonic()
        self._visitors.allow_redirects(allowed=True)
        self._scene.plane.apply(self._setting.example)
        self._scene.until_enforced(within_s=self._setting.enforced_within_s)
        self.outcome.enforced_s = time.monotonic() - applied_s

    def look(self) -> None:
        """Show what is enforced."""
        self._telling.title("enforced: what a person sees, and what strangers get")
        print(self._scene.plane.kubectl("get", "aop", "--namespace", NAMESPACE), flush=True)
        answers = self._ask_directly()
        refusal = self._scene.sandbox.refusal
        expected = {Visitor.NOBODY: refusal, Visitor.OURS: 200, Visitor.STRANGER: refusal}
        self.outcome.refusing = sum(statuses == expected for statuses in answers)
        self._say_visitors()

    def remove(self) -> None:
        """Delete the object, and compare with what was found."""
        self._telling.title("kubectl delete aop example-com")
        self._scene.remove(within_s=self._setting.enforced_within_s)
        self.outcome.removed = True
        self._ask_directly(with_ours=False)

    def compare(self, before: dict[str, Any]) -> None:
        """Everything is as it was found, or is named."""
        after = snapshot(self._scene)
        self.outcome.left = [
            f"{what} was {before[what]!r}, is {after[what]!r}"
            for what in before
            if before[what] != after[what]
        ]
        for line in self.outcome.left:
            self._telling.say(f"NOT RESTORED: {line}")
        if not self.outcome.left:
            self._telling.say("as it was found: " + ", ".join(before))

    def _ask_directly(self, *, with_ours: bool = True) -> list[dict[Visitor, int]]:
        answers = []
        for replica in self._scene.sandbox.replicas():
            statuses = {}
            for visitor in Visitor:
                try:
                    if visitor is not Visitor.OURS or with_ours:
                        statuses[visitor] = self._scene.ask_replica(replica.https, HOST, visitor)
                except httpx.HTTPStatusError:
                    continue  # the Secret with our certificate is not there yet
            listed = ", ".join(f"{visitor}: {status}" for visitor, status in statuses.items())
            self._telling.say(f"  a direct request to {replica.pod} with a certificate of {listed}")
            answers.append(statuses)
        return answers

    def _say_visitors(self) -> None:
        report = self._visitors.report()
        shakes = [location["handshakes"] for location in self._scene.control.counters().values()]
        resumed, full = (sum(one[kind] for one in shakes) for kind in ("resumed", "full"))
        self._telling.say(f"  visitors: {report}")
        self._telling.say(
            f"  the edge's connections to the origin: {full} full handshakes, {resumed} resumed ones"
        )


def snapshot(scene: Scene) -> dict[str, Any]:
    """What must be the same before and after."""
    zone = scene.control.zone(ZONE)
    return {
        **(of_the_frontend(scene) if scene.sandbox.layout.workload else of_the_controller(scene)),
        "the zone's setting at Cloudflare": zone["enabled"],
        "the certificates at Cloudflare": sorted(one["id"] for one in scene.certificates(ZONE)),
    }


def of_the_controller(scene: Scene) -> dict[str, Any]:
    """What is written of ingress-nginx."""
    config_map = scene.sandbox.config_map()
    return {
        "the controller's ConfigMap": config_map.get("data"),
        "its labels and annotations": {
            key: config_map["metadata"].get(key) for key in ("labels", "annotations")
        },
    }


def of_the_frontend(scene: Scene) -> dict[str, Any]:
    """What is written of a workload."""
    frontend = scene.sandbox.frontend
    return {
        "the operator's ConfigMap": frontend.standing(),
        "the Deployment": frontend.deployment()["spec"],
    }


def tell(scene: Scene, setting: DemoOrigin, telling: Telling) -> Outcome:
    """The whole story."""
    with ExitStack() as stack:
        for code, requests in LEAVES_AFTER.items():
            scene.control.turn_location(code, requests_per_connection=requests)
        before = snapshot(scene)
        visitors = stack.enter_context(scene.visitors(on_progress=telling.visitors))
        stack.enter_context(
            Following(scene.plane, f"/api/v1/namespaces/{NAMESPACE}/events", telling.step)
        )
        stack.enter_context(Following(scene.plane, path_of(NAMESPACE), telling.state))
        story = Story(scene, setting, visitors, telling)
        try:
            story.onboard()
            story.look()
            story.remove()
            story.compare(before)
        except NotInTimeError as error:
            telling.say(f"FAILED: {error}")
        story.outcome.visitors = visitors.stop()
        telling.say(f"  visitors: {story.outcome.visitors}")
        return story.outcome


def main() -> int:
    """Exit status 0 if the story ends well, 1 if not, 130 when interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    telling = Telling()
    named = sys.argv[1] if len(sys.argv) > 1 else next(iter(SETTINGS))
    if named not in SETTINGS:
        print(f"no origin {named}: there are {', '.join(SETTINGS)}", file=sys.stderr)
        return 2
    setting = SETTINGS[named]
    telling.say(
        f"starting Kubernetes, {setting.origin}, Cloudflare's double and the operator (10 seconds)"
    )
    try:
        with Scene(setting.layout) as scene:
            telling.say(
                "everything answers; visitors send 66 requests a second through three edge locations"
            )
            outcome = tell(scene, setting, telling)
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", flush=True)
        return 130
    print(f"\n{outcome}", flush=True)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
