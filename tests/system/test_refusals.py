"""What stops an onboarding before it begins: the reason, that nothing was changed, and that it goes on by itself once mended.

All cases run at the same time, each with a zone, a namespace and a token of its own, against one
operator: `story` breaks them all, looks, mends them all, looks, and removes them all; each test
then judges one case. The objects stop at `enforcement: Request`, which is all that a refusal can
keep from happening; how far it goes from there is `test_onboarding`'s.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model.replay import violations
from sandbox.cloudflare.authority import Authority
from sandbox.cloudflare.certificates import KeyPair
from sandbox.cloudflare.launcher import PERMISSIONS
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE, Layout, ingress
from sandbox.ingress_nginx.launcher import IngressNginx
from sandbox.scene import Scene, origin, path_of, pull
from sandbox.waiting import NotInTimeError, until

pytestmark = [pytest.mark.timeout(900)]

REFUSED_WITHIN_S, GOES_ON_WITHIN_S, READY_WITHIN_S, GONE_WITHIN_S = 45.0, 60.0, 150.0, 150.0
FOREIGN_TEXT = "# the platform team's own line"
LONG = "a" * 50
"""One label more than nginx's default hash bucket holds."""
ALLOWED = "elsewhere"
KINDS = (
    "api/v1/configmaps",
    "api/v1/secrets",
    "api/v1/pods",
    "api/v1/services",
    "api/v1/namespaces",
    "apis/networking.k8s.io/v1/ingresses",
    "apis/networking.k8s.io/v1/ingressclasses",
)
"""What the operator could change although it is not its own."""


@dataclass(slots=True)
class CaseGround:
    """Where one case happens: its zone, its namespace and its token, and what breaking it left to be used in mending."""

    scene: Scene
    name: str
    parts: ExitStack
    token: Mapping[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def zone(self) -> str:
        return f"{self.name}.example.net"

    def put_token(self, value: str | None = None) -> None:
        """Into the Secret that the object names; the case's own token unless another is given."""
        self.apply(token_secret(self.name, value or self.token["value"]))

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """As `kubectl apply --server-side`, which costs a process and a look at the whole API each time."""
        for one in manifests:
            apply(self.scene, one)

    def drop(self, path: str) -> None:
        self.scene.plane.http.delete(path).raise_for_status()

    def change(self, **zone: Any) -> None:
        self.scene.control.change_zone(self.kept.get("zone id", self.zone), **zone)

    def patch(self, **spec: Any) -> None:
        self.scene.patch(spec, self.name, self.name)

    def permit(self, permissions: Sequence[str]) -> None:
        self.scene.control.change_token(self.token["id"], permissions=list(permissions))

    def controller(self) -> None:
        """Somebody installs, or scales up, a controller in the case's own namespace; its edge then leads there."""
        self.kept["controller"] = controller = IngressNginx(
            self.scene.plane.admin_kubeconfig,
            namespace=self.name,
            replicas=1,
            hosts=[self.zone],
            first_address=self.kept["address"],
            ingress_class=self.name,
            controller_class=f"k8s.io/{self.name}",
        )
        self.parts.enter_context(controller)
        ports = controller.announcement
        origins = [
            {
                "address": self.kept["address"],
                "https_port": ports.https_port,
                "http_port": ports.http_port,
            }
        ]
        self.change(origins=origins)


PLACES = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "AuthenticatedOriginPull": "/apis/aop-operator.dev/v1alpha1/namespaces/{}/authenticatedoriginpulls",
}


def apply(scene: Scene, body: Mapping[str, Any]) -> None:
    """One namespaced object."""
    metadata = body["metadata"]
    scene.plane.http.patch(
        f"{PLACES[body['kind']].format(metadata['namespace'])}/{metadata['name']}",
        params={"fieldManager": "somebody", "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        json=dict(body),
    ).raise_for_status()


def token_secret(namespace: str, value: str) -> dict[str, Any]:
    metadata = {"name": "cloudflare", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "data": {"api-token": base64.b64encode(value.encode()).decode()},
    }


Act = Callable[[CaseGround], Any]


def nothing(_: CaseGround) -> None:
    """There is nothing to do outside the object."""


@dataclass(frozen=True, slots=True)
class RefusalCase:
    """One row of the table.

    `said` must stand in the message: what is wrong, and where; `{zone}` and `{name}` are filled in.
    """

    name: str
    reason: str
    words: tuple[str, ...]
    broken: Act
    mended: Act
    spec: Mapping[str, Any] = field(default_factory=dict)
    has_zone: bool = True
    has_token: bool = True
    written: bool = False
    """It shows only in an attempt to write, because Cloudflare has no way to ask for it; such cases
    begin when the others were seen."""


# --- how each is broken and mended ----------------------------------------------------------------------------------------------


def with_token(value: str) -> Act:
    return lambda it: it.put_token(value)


def revoked(*, yes: bool) -> Act:
    return lambda it: it.scene.control.change_token(it.token["id"], revoked=yes)


def lacking(permission: str, instead: Sequence[str] = ()) -> Act:
    return lambda it: it.permit([*(one for one in PERMISSIONS if one != permission), *instead])


def permitted(it: CaseGround) -> None:
    it.permit(PERMISSIONS)


def zone_is_made(it: CaseGround) -> None:
    it.scene.control.make_zone(it.zone, origins=it.kept["origins"])


def zone_is_there_twice(it: CaseGround) -> None:
    other = it.scene.control.make_zone(it.zone, account_id="f" * 32, origins=it.kept["origins"])
    it.kept["other zone"] = other["id"]


def zone_is_named_by_id(it: CaseGround) -> None:
    it.patch(zone={"id": it.kept["zone id"]})


def zone(**order: Any) -> Act:
    return lambda it: it.change(**order)


def suppressed(it: CaseGround) -> None:
    it.scene.control.associate(it.zone, it.zone, enabled=False, issue={})


def voided(it: CaseGround) -> None:
    it.scene.control.associate(it.zone, it.zone, enabled=None)


def foreign_certificate(it: CaseGround) -> None:
    it.scene.control.upload(it.zone)
    it.change(enabled=True)


def spec_says(**spec: Any) -> Act:
    return lambda it: it.patch(**spec)


def older_object(it: CaseGround) -> None:
    """Another namespace's, which is suspended, so that it is there and does nothing."""
    other = f"{it.name}-first"
    it.scene.plane.http.post(
        "/api/v1/namespaces", json={"metadata": {"name": other}}
    ).raise_for_status()
    it.apply(
        token_secret(other, it.token["value"]),
        pull("older", other, zone={"name": it.zone}, suspend=True),
    )
    until(
        lambda: ((it.scene.object("older", other) or {}).get("status") or {}).get("zone"),
        within_s=REFUSED_WITHIN_S,
        describe="the older object to have shown the zone",
    )


def older_object_goes(it: CaseGround) -> None:
    it.scene.delete("older", f"{it.name}-first")


def own_config_map(it: CaseGround) -> None:
    it.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": it.name},
        }
    )


def at(config_map: str, namespace: str = "{name}", **more: Any) -> dict[str, Any]:
    return {"origins": [origin(config_map, namespace, **more)]}


def reference_is_corrected(it: CaseGround) -> None:
    it.patch(origins=[origin(foreignText="Merge")])


def pod_that_is_not_ready(it: CaseGround) -> None:
    """It names the ConfigMap in its arguments, and has never been Ready."""
    own_config_map(it)
    container = {
        "name": "controller",
        "image": "controller",
        "args": [f"--configmap={it.name}/{CONFIG_MAP}"],
    }
    it.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stuck", "namespace": it.name},
            "spec": {"containers": [container], "nodeName": "sandbox"},
        }
    )
    it.kept["address"] = "127.0.0.41"


def ready_pod_takes_over(it: CaseGround) -> None:
    it.controller()
    it.drop(f"/api/v1/namespaces/{it.name}/pods/stuck?gracePeriodSeconds=0")


def place_for_a_controller(it: CaseGround) -> None:
    it.kept["address"] = "127.0.0.31"


def ingress_that_verifies(it: CaseGround) -> None:
    it.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "partners", "namespace": it.name},
            "data": {"ca.crt": base64.b64encode(Authority.new("Partners").pem.encode()).decode()},
        },
        ingress(
            f"partners.{it.zone}",
            it.name,
            **{
                "nginx.ingress.kubernetes.io/auth-tls-secret": f"{it.name}/partners",
                "nginx.ingress.kubernetes.io/auth-tls-verify-client": "on",
            },
        ),
    )


def ingress_asks_nobody(it: CaseGround) -> None:
    it.apply(
        ingress(
            f"partners.{it.zone}",
            it.name,
            **{
                "nginx.ingress.kubernetes.io/auth-tls-secret": f"{it.name}/partners",
                "nginx.ingress.kubernetes.io/auth-tls-verify-client": "off",
            },
        )
    )


def secret(
    it: CaseGround, pair: KeyPair, authority: Authority, *, key: KeyPair | None = None
) -> None:
    """What cert-manager would write."""
    fields = {"tls.crt": pair.pem, "tls.key": (key or pair).key_pem, "ca.crt": authority.pem}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in fields.items()}
    it.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "leaf", "namespace": it.name},
            "data": data,
        }
    )


def good_secret(it: CaseGround) -> None:
    authority = Authority.new("An issuer")
    secret(it, authority.client(it.zone), authority)


def key_of_another(it: CaseGround) -> None:
    authority = Authority.new("An issuer")
    secret(it, authority.client(it.zone), authority, key=authority.client(it.zone))


def authority_for_leaf(it: CaseGround) -> None:
    authority = Authority.new("An issuer")
    secret(it, authority.pair, authority)


def server_leaf(it: CaseGround) -> None:
    authority = Authority.new("An issuer")
    secret(it, authority.server([it.zone]), authority)


def expired_leaf(it: CaseGround) -> None:
    authority, now = Authority.new("An issuer"), datetime.now(UTC)
    secret(
        it,
        authority.client(
            it.zone, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
        ),
        authority,
    )


def leaf_of_another_issuer(it: CaseGround) -> None:
    secret(it, Authority.new("An issuer").client(it.zone), Authority.new("An issuer"))


REFERENCED = {"certificate": {"secretRef": {"name": "leaf"}}}
CONSENT = spec_says(certificate={"replaceForeign": True})
GOOD_TOKEN: Act = CaseGround.put_token

CASES = (
    RefusalCase(
        "token-absent",
        "TokenSecretNotFound",
        ("{name}/cloudflare", "create"),
        nothing,
        GOOD_TOKEN,
        has_token=False,
    ),
    RefusalCase(
        "token-unknown",
        "TokenRejected",
        ("{name}/cloudflare", "api-token"),
        with_token("0" * 40),
        GOOD_TOKEN,
    ),
    RefusalCase(
        "token-malformed",
        "TokenRejected",
        ("{name}/cloudflare", "api-token"),
        with_token("not a token"),
        GOOD_TOKEN,
    ),
    RefusalCase(
        "token-revoked",
        "TokenRejected",
        ("{name}/cloudflare", "api-token"),
        revoked(yes=True),
        revoked(yes=False),
    ),
    RefusalCase(
        "no-zone-read",
        "TokenLacksPermission",
        ("{name}/cloudflare", "Zone Read"),
        lacking("Zone Read"),
        permitted,
    ),
    RefusalCase(
        "no-settings",
        "TokenLacksPermission",
        ("{name}/cloudflare", "Zone Settings Read"),
        lacking("Zone Settings Read"),
        permitted,
    ),
    RefusalCase(
        "no-certificates",
        "TokenLacksPermission",
        ("{name}/cloudflare", "SSL and Certificates Write"),
        lacking("SSL and Certificates Write"),
        permitted,
    ),
    RefusalCase(
        "read-only",
        "TokenLacksPermission",
        ("{name}/cloudflare", "SSL and Certificates Write"),
        lacking("SSL and Certificates Write", ["SSL and Certificates Read"]),
        permitted,
        written=True,
    ),
    RefusalCase(
        "zone-unknown",
        "ZoneNotFound",
        ("{zone}", "spec.zone"),
        nothing,
        zone_is_made,
        has_zone=False,
    ),
    RefusalCase(
        "zone-twice",
        "ZoneAmbiguous",
        ("{zone}", "{accounts}", "spec.zone.id"),
        zone_is_there_twice,
        zone_is_named_by_id,
    ),
    RefusalCase(
        "zone-pending", "ZoneNotActive", ("{zone}",), zone(status="pending"), zone(status="active")
    ),
    RefusalCase(
        "zone-claimed",
        "ZoneClaimed",
        ("{zone}", "{name}-first/older"),
        older_object,
        older_object_goes,
    ),
    RefusalCase(
        "ssl-flexible",
        "SSLModeTooLow",
        ("{zone}", "flexible", "Full"),
        zone(ssl="flexible"),
        zone(ssl="full"),
    ),
    RefusalCase(
        "ssl-off", "SSLModeTooLow", ("{zone}", "off", "Full"), zone(ssl="off"), zone(ssl="full")
    ),
    RefusalCase("suppressed", "HostsSuppressed", ("{zone}", "Remove"), suppressed, voided),
    RefusalCase(
        "foreign-leaf",
        "ForeignCertificate",
        ("{zone}", "{foreign}", "replaceForeign"),
        foreign_certificate,
        CONSENT,
    ),
    RefusalCase(
        "global-aop",
        "ForeignCertificate",
        ("{zone}", "global", "replaceForeign"),
        zone(global_aop="on"),
        CONSENT,
    ),
    RefusalCase(
        "suspended",
        "Suspended",
        ("spec.suspend",),
        nothing,
        spec_says(suspend=False),
        {"suspend": True},
    ),
    RefusalCase(
        "no-config-map",
        "OriginNotFound",
        (f"{{name}}/{CONFIG_MAP}", "public", "configMapRef"),
        place_for_a_controller,
        CaseGround.controller,
        at(CONFIG_MAP),
    ),
    RefusalCase(
        "not-allowed",
        "OriginNotAllowed",
        (f"{{name}}/{ALLOWED}", "AOP_INGRESS_CONFIG_MAPS"),
        nothing,
        reference_is_corrected,
        at(ALLOWED),
    ),
    RefusalCase(
        "no-controller",
        "NoController",
        (f"{{name}}/{CONFIG_MAP}", "--configmap", "public"),
        own_config_map,
        reference_is_corrected,
        at(CONFIG_MAP),
    ),
    RefusalCase(
        "no-replicas",
        "NoReplicas",
        (f"{{name}}/{CONFIG_MAP}", "Ready"),
        pod_that_is_not_ready,
        ready_pod_takes_over,
        at(CONFIG_MAP),
    ),
    RefusalCase(
        "foreign-text",
        "ForeignConfiguration",
        (
            f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}",
            "http-snippet",
            FOREIGN_TEXT,
            "foreignText: Merge",
        ),
        nothing,
        reference_is_corrected,
        at(CONFIG_MAP, CONTROLLER_NAMESPACE),
    ),
    RefusalCase(
        "foreign-ingress",
        "ForeignConfiguration",
        ("{name}/partners.{zone}", "auth-tls-verify-client"),
        ingress_that_verifies,
        ingress_asks_nobody,
    ),
    RefusalCase(
        "host-too-long",
        "HostnameTooLong",
        (LONG, "map-hash-bucket-size"),
        nothing,
        spec_says(hostnames=["www.host-too-long.example.net"]),
        {"hostnames": [f"{LONG}.host-too-long.example.net"]},
    ),
    RefusalCase(
        "no-hosts",
        "NoHosts",
        ("spec.hostnames", "verification.samples"),
        nothing,
        spec_says(verification={"samples": ["www.no-hosts.example.net"]}),
        {"hostnames": ["*.no-hosts.example.net"]},
    ),
    RefusalCase(
        "leaf-missing",
        "KeyPairInvalid",
        ("{name}/leaf", "tls.crt"),
        nothing,
        good_secret,
        REFERENCED,
    ),
    RefusalCase(
        "leaf-other-key",
        "KeyPairInvalid",
        ("{name}/leaf", "tls.key"),
        key_of_another,
        good_secret,
        REFERENCED,
    ),
    RefusalCase(
        "leaf-is-a-ca",
        "KeyPairInvalid",
        ("{name}/leaf", "tls.crt", "CA:FALSE"),
        authority_for_leaf,
        good_secret,
        REFERENCED,
    ),
    RefusalCase(
        "leaf-of-a-server",
        "KeyPairInvalid",
        ("{name}/leaf", "tls.crt", "clientAuth"),
        server_leaf,
        good_secret,
        REFERENCED,
    ),
    RefusalCase(
        "leaf-expired",
        "KeyPairInvalid",
        ("{name}/leaf", "tls.crt", "expired"),
        expired_leaf,
        good_secret,
        REFERENCED,
    ),
    RefusalCase(
        "leaf-unchained",
        "KeyPairInvalid",
        ("{name}/leaf", "ca.crt"),
        leaf_of_another_issuer,
        good_secret,
        REFERENCED,
    ),
)
NAMES = tuple(case.name for case in CASES)
SEEN, TRIED = (
    tuple(case for case in CASES if case.written is written) for written in (False, True)
)
EVERY_ONE = pytest.mark.parametrize("case", CASES, ids=NAMES)


# --- the story --------------------------------------------------------------------------------------------------------------------

Objects = dict[tuple[str, str, str], str]
"""resourceVersions by kind, namespace and name."""


@dataclass(slots=True)
class RefusalsStory:
    """What was seen, by case.

    Times are seconds since the case was mended, or deleted; a case that is not in a dict never got
    there.
    """

    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The condition Ready, at the second look of each."""
    before: Objects = field(default_factory=dict)
    after: Objects = field(default_factory=dict)
    writes: list[dict[str, Any]] = field(default_factory=list)
    """Calls to Cloudflare up to the mending, other than reads."""
    zones: dict[str, str] = field(default_factory=dict)
    """The name of each zone by its id."""
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    """What messages must name and only the story knows."""
    went_on: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)
    """The last Ready condition of each, in words."""
    zones_before: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """Zones of each name, before."""
    left: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    """The same in the end."""
    config_map_found: Any = None
    config_map_left: Any = None


@pytest.fixture(scope="module")
def story() -> RefusalsStory:
    """All cases, from broken to gone."""
    allowed = [f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}", *(f"{name}/{CONFIG_MAP}" for name in NAMES)]
    config = {"use-forwarded-headers": "true", "http-snippet": FOREIGN_TEXT}
    with ExitStack() as parts:
        scene = parts.enter_context(
            Scene(Layout(config=config), AOP_INGRESS_CONFIG_MAPS=",".join(allowed))
        )
        scene.control.turn(deploy_s=0, delete_s=1)
        grounds = {case.name: prepared(scene, case, parts) for case in CASES}
        story = RefusalsStory(words={name: named(ground) for name, ground in grounds.items()})
        refuse(scene, story)
        mend(scene, story, grounds)
        remove(scene, story)
        story.trace = scene.trace()
    return story


def prepared(scene: Scene, case: RefusalCase, parts: ExitStack) -> CaseGround:
    """The case's zone, namespace and token; then what breaks it."""
    scene.plane.http.post(
        "/api/v1/namespaces", json={"metadata": {"name": case.name}}
    ).raise_for_status()
    it = CaseGround(scene, case.name, parts, scene.control.make_token())
    it.kept["origins"] = scene.control.zone()["origins"]
    if case.has_zone:
        it.kept["zone id"] = scene.control.make_zone(it.zone, origins=it.kept["origins"])["id"]
    if case.has_token:
        it.put_token()
    case.broken(it)
    return it


def named(it: CaseGround) -> dict[str, str]:
    """What a message can be asked to name."""
    zones_held = [one for one in it.scene.control.state()["zones"] if one["name"] == it.zone]
    return {
        "name": it.name,
        "zone": it.zone,
        "accounts": "|".join(one["account"]["id"] for one in zones_held),
        "foreign": "|".join(
            certificate["id"] for one in zones_held for certificate in one["certificates"]
        ),
    }


def refuse(scene: Scene, story: RefusalsStory) -> None:
    """Apply every object, wait for each reason, have each looked at once more, and compare the world with what it was."""
    story.before, story.zones_before = objects(scene), zones(scene)
    story.config_map_found = shown(scene)
    story.zones = {one["id"]: one["name"] for one in scene.control.state()["zones"]}
    since = max((call["number"] for call in scene.control.calls()), default=0)
    for case in SEEN:
        apply(scene, manifest(case))
    reached(scene, story, SEEN, is_refused, REFUSED_WITHIN_S)
    for case in SEEN:
        scene.patch({"verification": {"window": "11s"}}, case.name, case.name)
    seen = reached(scene, story, SEEN, is_refused, REFUSED_WITHIN_S)
    story.refused = {name: condition for name, (_, condition) in seen.items()}
    story.after = objects(scene)
    story.writes = scene.control.calls(method="!GET", since=since)


def is_refused(case: RefusalCase, ready: Mapping[str, Any]) -> bool:
    return (ready["status"], ready["reason"]) == ("False", case.reason)


def mend(scene: Scene, story: RefusalsStory, grounds: Mapping[str, CaseGround]) -> None:
    """Do to each what its message asks for; what takes longest begins first.

    Those that show only in writing begin, and are mended, meanwhile.
    """
    slow = [case for case in SEEN if "address" in grounds[case.name].kept]
    at: dict[str, float] = {}

    def one(case: RefusalCase) -> None:
        case.mended(grounds[case.name])
        at[case.name] = time.monotonic()

    for case in TRIED:
        apply(scene, manifest(case))
    with ThreadPoolExecutor(len(slow)) as threads:
        begun = [threads.submit(one, case) for case in slow]
        for case in SEEN:
            if case not in slow:
                one(case)
        for each in begun:
            each.result()
    went = reached(scene, story, SEEN, goes_on, GOES_ON_WITHIN_S)
    seen = reached(scene, story, TRIED, is_refused, REFUSED_WITHIN_S)
    story.refused |= {name: condition for name, (_, condition) in seen.items()}
    story.writes += [call for call in scene.control.calls(method="!GET") if call["status"] == 403]
    for case in TRIED:
        one(case)
    went |= reached(scene, story, TRIED, goes_on, GOES_ON_WITHIN_S)
    story.went_on = {name: when - at[name] for name, (when, _) in went.items()}
    ready = reached(scene, story, CASES, lambda _, ready: ready["status"] == "True", READY_WITHIN_S)
    story.ready = {name: when - at[name] for name, (when, _) in ready.items()}


def goes_on(case: RefusalCase, ready: Mapping[str, Any]) -> bool:
    return bool(ready["reason"] != case.reason)


def remove(scene: Scene, story: RefusalsStory) -> None:
    """Delete every object, and look what is left."""
    began = time.monotonic()
    for case in CASES:
        scene.plane.http.delete(path_of(case.name, case.name)).raise_for_status()

    def none_left() -> bool:
        there = pulls(scene)
        story.gone |= {
            case.name: time.monotonic() - began
            for case in CASES
            if case.name not in there and case.name not in story.gone
        }
        story.last |= {name: words(conditions_of(there[name])) for name in NAMES if name in there}
        return len(story.gone) == len(CASES)

    with suppress(NotInTimeError):
        until(none_left, within_s=GONE_WITHIN_S, every_s=0.3, describe="every object to be gone")
    story.left, story.config_map_left = zones(scene), shown(scene)


def manifest(case: RefusalCase) -> dict[str, Any]:
    """The object of a case."""
    spec = {
        "enforcement": "Request",
        "origins": [origin(foreignText="Merge")],
        "zone": {"name": f"{case.name}.example.net"},
        **case.spec,
    }
    made = pull(case.name, case.name, **spec)
    for one in made["spec"]["origins"]:
        reference = one["ingressNginx"]["configMapRef"]
        reference["namespace"] = reference["namespace"].format(name=case.name)
    return made


def reached(
    scene: Scene,
    story: RefusalsStory,
    cases: Sequence[RefusalCase],
    there: Callable[[RefusalCase, dict[str, Any]], bool],
    within_s: float,
) -> dict[str, tuple[float, dict[str, Any]]]:
    """When (monotonic) and with which Ready condition each case was first seen `there`, for its current generation."""
    reasons: dict[str, tuple[float, dict[str, Any]]] = {}

    def all_there() -> bool:
        now = pulls(scene)
        for case in cases:
            ready = conditions_of(now[case.name]).get("Ready", {})
            story.last[case.name] = words(conditions_of(now[case.name]))
            current = ready.get("observedGeneration") == now[case.name]["metadata"]["generation"]
            if case.name not in reasons and ready and current and there(case, ready):
                reasons[case.name] = (time.monotonic(), ready)
        return len(reasons) == len(cases)

    with suppress(NotInTimeError):
        until(all_there, within_s=within_s, every_s=0.3, describe="every case")
    return reasons


# --- looking ----------------------------------------------------------------------------------------------------------------------


def pulls(scene: Scene) -> dict[str, dict[str, Any]]:
    """Every case's object by its name."""
    items = (
        scene.plane.http.get("/apis/aop-operator.dev/v1alpha1/authenticatedoriginpulls")
        .raise_for_status()
        .json()["items"]
    )
    return {one["metadata"]["name"]: one for one in items}


def conditions_of(one: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        condition["type"]: condition for condition in one.get("status", {}).get("conditions", [])
    }


def words(conditions: Mapping[str, Mapping[str, Any]]) -> str:
    ready = conditions.get("Ready")
    return (
        f"Ready={ready['status']} {ready['reason']}: {ready['message']}"
        if ready
        else "no conditions"
    )


def objects(scene: Scene) -> Objects:
    """Everything of `KINDS`, in all namespaces."""
    return {
        (
            kind.rpartition("/")[2],
            one["metadata"].get("namespace", ""),
            one["metadata"]["name"],
        ): one["metadata"]["resourceVersion"]
        for kind in KINDS
        for one in scene.plane.http.get(f"/{kind}").raise_for_status().json()["items"]
    }


def within(seen: Objects, namespace: str) -> Objects:
    return {key: version for key, version in seen.items() if key[1] == namespace}


def zones(scene: Scene) -> dict[str, list[tuple[Any, ...]]]:
    """What each zone is like at Cloudflare."""
    by_name: dict[str, list[tuple[Any, ...]]] = {}
    for one in scene.control.state()["zones"]:
        certificates = sorted(
            certificate["id"]
            for certificate in one["certificates"]
            if certificate["status"] != "deleted"
        )
        by_name.setdefault(one["name"], []).append((one["id"], one["enabled"], certificates))
    return by_name


def shown(scene: Scene) -> Any:
    """The controller's ConfigMap, as far as a person wrote it."""
    whole = scene.sandbox.config_map()
    return whole.get("data"), {key: whole["metadata"].get(key) for key in ("labels", "annotations")}


def zone_names_of(case: RefusalCase) -> str:
    return f"{case.name}.example.net"


# --- the judgement ----------------------------------------------------------------------------------------------------------------


@EVERY_ONE
def test_it_is_refused_with_its_reason_and_the_message_says_where(
    story: RefusalsStory, case: RefusalCase
) -> None:
    assert case.name in story.refused, story.last[case.name]
    message = story.refused[case.name]["message"]
    for words in case.words:
        for word in words.format(**story.words[case.name]).split("|"):
            assert word, words
            assert word in message


@EVERY_ONE
def test_nothing_is_changed_at_cloudflare(story: RefusalsStory, case: RefusalCase) -> None:
    ours = {id_ for id_, name in story.zones.items() if name == zone_names_of(case)}
    made = [
        f"{call['method']} {call['path']} -> {call['status']}"
        for call in story.writes
        if call["zone"] in ours
    ]
    if case.written:
        assert {call["status"] for call in story.writes if call["zone"] in ours} == {403}, made
    else:
        assert made == []


@pytest.mark.parametrize("case", SEEN, ids=[case.name for case in SEEN])
def test_nothing_is_created_or_changed_in_its_namespace(
    story: RefusalsStory, case: RefusalCase
) -> None:
    assert within(story.after, case.name) == within(story.before, case.name)


@pytest.mark.parametrize("namespace", [CONTROLLER_NAMESPACE, "default", ""])
def test_nothing_is_created_or_changed_elsewhere(story: RefusalsStory, namespace: str) -> None:
    assert within(story.before, namespace)
    assert within(story.after, namespace) == within(story.before, namespace)


@EVERY_ONE
def test_mended_it_goes_on_within_a_minute_and_reaches_its_goal(
    story: RefusalsStory, case: RefusalCase
) -> None:
    assert story.went_on.get(case.name, 1e9) <= GOES_ON_WITHIN_S, story.last[case.name]
    assert case.name in story.ready, story.last[case.name]


@EVERY_ONE
def test_removed_it_leaves_the_zone_as_it_was_found(
    story: RefusalsStory, case: RefusalCase
) -> None:
    assert case.name in story.gone, story.last[case.name]
    name = zone_names_of(case)
    assert [one[1:] for one in story.left[name]] == [
        one[1:] for one in story.zones_before.get(name, [("", False, [])])
    ]


def test_the_shared_controller_is_left_as_it_was_found(story: RefusalsStory) -> None:
    assert story.config_map_left == story.config_map_found


def test_every_object_s_life_was_a_path_of_the_model(story: RefusalsStory) -> None:
    """From its refusal to its end, each by itself; they share a controller, so that what replicas run is not judged here."""
    assert violations(story.trace, "zone certificates pods configmap shared") == []
