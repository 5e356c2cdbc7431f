"""`kubectl aop preflight` on the real parts, before anything of ours is there: it finds what is in the way, writes nothing, and says what it may not see."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, MANIFESTS, Layout
from sandbox.plugin import aop
from sandbox.scene import NAMESPACE, Scene, pull

pytestmark = [pytest.mark.timeout(300)]

HOST, WWW = "example.com", "www.example.com"
FAILED, IN_PART = 1, 3
OPERATORS_OWN = ["Zone Read", "Zone Settings Read", "SSL and Certificates Write"]
EVERYTHING = [
    *OPERATORS_OWN,
    "DNS Read",
    "Origin Read",
    "Config Settings Read",
    "Load Balancers Read",
    "Load Balancing: Monitors and Pools Read",
]
PROXIED = [
    {"name": host, "type": "A", "content": "192.0.2.1", "proxied": True} for host in (HOST, WWW)
]
NOTHING: dict[str, Any] = {"dns_records": PROXIED}
CONTROLLERS_OWN = {"use-forwarded-headers": "false"}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """No operator, and a controller of which there is nothing to remark."""
    with Scene(Layout(manifests=MANIFESTS, config=CONTROLLERS_OWN), with_operator=False) as running:
        yield running


@pytest.fixture
def file(scene: Scene, tmp_path: Path) -> Iterator[Path]:
    """The object, applied by nobody; the zone is as it was afterwards."""
    path = tmp_path / "pull.yaml"
    path.write_text(yaml.safe_dump(pull()))
    zone = scene.control.zone()
    scene.control.change_zone(HOST, traffic=NOTHING)
    scene.sandbox.secret(NAMESPACE, token=scene.control.make_token(EVERYTHING)["value"])
    yield path
    scene.control.change_zone(HOST, traffic=NOTHING, ssl=zone["ssl"], dns_only=[])


def preflight(
    scene: Scene, file: Path, *arguments: str, kubeconfig: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """About the object in that file."""
    return aop(scene, "preflight", "-f", file, *arguments, kubeconfig=kubeconfig, **settings)


def findings(answer: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    assert "Traceback" not in answer.stderr, answer.stderr
    return [(one["weight"], one["what"]) for one in json.loads(answer.stdout)["findings"]]


def test_a_zone_that_is_ready_for_it_has_nothing_in_the_way(scene: Scene, file: Path) -> None:
    before = scene.sandbox.config_map(), scene.changes_at_cloudflare()
    answer = preflight(scene, file)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"In scope: {HOST}, {WWW}. Nothing stands in the way." in answer.stdout
    assert (scene.sandbox.config_map(), scene.changes_at_cloudflare()) == before
    assert scene.object() is None


def test_what_is_wrong_is_found_all_at_once(scene: Scene, file: Path) -> None:
    rules = {
        "http_request_origin": [
            {
                "expression": "true",
                "enabled": True,
                "action_parameters": {"sni": {"value": "a.example"}},
            },
            {
                "expression": "true",
                "enabled": False,
                "action_parameters": {"host_header": "off.example"},
            },
        ],
        "http_config_settings": [
            {"expression": "true", "enabled": True, "action_parameters": {"ssl": "off"}}
        ],
    }
    balancing = {
        "load_balancers": [{"name": HOST, "enabled": True, "default_pools": ["p", "q"]}],
        "pools": [
            {"id": "p", "name": "blind", "monitor": "m"},
            {"id": "q", "name": "seeing", "monitor": "n"},
        ],
        "monitors": [
            {"id": "m", "type": "https", "probe_zone": ""},
            {"id": "n", "type": "https", "probe_zone": HOST},
        ],
    }
    others = [{"name": f"{n}.{HOST}", "type": "A", "proxied": True} for n in range(5000)]
    records = [
        PROXIED[0],
        *others,
        {"name": WWW, "type": "CNAME", "content": "7.cfargotunnel.com", "proxied": True},
    ]
    traffic = {"dns_records": records, "rules": rules, **balancing}
    scene.control.change_zone(HOST, ssl="flexible", traffic=traffic)
    scene.write_config_map({"http-snippet": "ssl_verify_client on;"})
    try:
        answer = preflight(scene, file, "-o", "json")
    finally:
        scene.write_config_map({"http-snippet": None})
    assert answer.returncode == FAILED
    seen = findings(answer)
    for weight, words in (
        ("STOPS", "'flexible'"),
        ("STOPS", f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}"),
        ("BREAKS", "SNI a.example"),
        ("BREAKS", "SSL/TLS mode to 'off'"),
        ("BREAKS", "pool blind"),
        ("LIMITS", f"{WWW} go through a Cloudflare Tunnel"),
    ):
        assert [what for one, what in seen if one == weight and words in what], (words, seen)
    assert not [what for _, what in seen if "seeing" in what or "off.example" in what]


def test_a_name_that_is_not_proxied_is_found_without_a_right_to_read_dns(
    scene: Scene, file: Path
) -> None:
    """By whoever answers for it."""
    token = scene.control.make_token(OPERATORS_OWN)["value"]
    scene.sandbox.secret(NAMESPACE, token=token)
    scene.control.change_zone(HOST, dns_only=[WWW])
    direct = f"{WWW}:443:{scene.sandbox.origins[0]},{scene.sandbox.connect_to}"
    bundle = file.with_name("trust.pem")
    bundle.write_text(
        scene.cloudflare.edge_ca_file.read_text() + Path(scene.sandbox.origin_ca_file).read_text()
    )
    answer = preflight(
        scene, file, "-o", "json", AOP_EDGE_CONNECT_TO=direct, AOP_EDGE_CA_FILE=str(bundle)
    )
    assert [what for _, what in findings(answer)] == [
        f"The DNS record of {WWW} is not proxied (DNS-only)."
    ]
    unseen = " ".join(json.loads(answer.stdout)["unseen"])
    for permission in ("DNS Read", "Origin Read", "Config Settings Read", "Load Balancers Read"):
        assert permission in unseen
    assert answer.returncode == 0, "it breaks nothing"


@pytest.mark.parametrize(
    ("more", "words"),
    [([], "'Notifications Write' for this account"), (["Notifications Read"], "webhook 'Nowhere'")],
)
def test_what_keeps_cloudflare_from_warning_anybody_is_found_and_stops_nothing(
    scene: Scene, file: Path, more: list[str], words: str
) -> None:
    token = scene.control.make_token([*EVERYTHING, *more])["value"]
    scene.sandbox.secret(NAMESPACE, token=token)
    alerts = {"email": ["ops@example.com"], "webhooks": ["Nowhere"]}
    file.write_text(yaml.safe_dump(pull(alerts=alerts)))
    answer = preflight(scene, file, "-o", "json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    ((weight, what),) = findings(answer)
    assert weight == "NOTE"
    assert words in what


def test_a_token_that_is_not_known_stops_and_the_rest_is_looked_at(
    scene: Scene, file: Path
) -> None:
    scene.sandbox.secret(NAMESPACE, token="x" * 40)
    answer = preflight(scene, file, "-o", "json")
    assert answer.returncode == FAILED
    assert [weight for weight, _ in findings(answer)] == ["STOPS"]
    assert json.loads(answer.stdout)["findings"][0]["reason"] == "TokenRejected"
    assert json.loads(answer.stdout)["hosts"] == [HOST, WWW]


def test_a_replica_that_does_not_answer_is_named(scene: Scene, file: Path) -> None:
    pod = scene.pods()[0]
    with scene.ingress_nginx.hung(pod):
        answer = preflight(scene, file, "-o", "json")
    unreached = [what for _, what in findings(answer) if "cannot be reached" in what]
    assert len(unreached) == 1, answer.stdout
    assert pod in unreached[0]


def test_a_token_that_lacks_a_permission_stops_and_the_permission_is_named(
    scene: Scene, file: Path
) -> None:
    """Cloudflare says the same under load, so that it is believed only after a while."""
    token = scene.control.make_token(["Zone Read", "Zone Settings Read"])["value"]
    scene.sandbox.secret(NAMESPACE, token=token)
    answer = preflight(scene, file, "-o", "json")
    assert answer.returncode == FAILED, answer.stdout + answer.stderr
    stops = [what for weight, what in findings(answer) if weight == "STOPS"]
    assert len(stops) == 1, answer.stdout
    assert "'SSL and Certificates" in stops[0]


def test_who_lacks_rights_is_told_which(scene: Scene, file: Path) -> None:
    nobody = scene.plane.kubeconfig_for("nobody-in-particular")
    answer = preflight(scene, file, kubeconfig=nobody)
    assert "Traceback" not in answer.stderr
    assert answer.returncode == IN_PART, answer.stdout + answer.stderr
    assert f"get configmaps in namespace {CONTROLLER_NAMESPACE}" in answer.stderr
