"""What `kubectl aop preflight` makes of what it sees: each thing is discovered, says what comes of it, and nothing is found where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aop.cloudflare import traffic
from aop.cloudflare.calls import Permission
from aop.cloudflare.traffic import DnsRecord, LoadBalancer, Pool, TrafficRule
from aop.errors import Reason
from aop.kubectl.discovering import discovered, not_known
from aop.kubectl.findings import Beside, Finding, Weight, is_harmful
from aop.kubectl.preflighting import data, lines
from aop.kubectl.wording import Paint
from aop.observed import LeftOut, Rival, Unknown
from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.remarks import remarks
from aop.terms import ObjectKey
from builders import APEX, HOSTS, NEVER_SEEN, NOW, WWW, observed, origin
from goldens import golden

PLAIN = Paint()
ZONE = NEVER_SEEN["zone"]
KEY = ObjectKey("ingress-nginx", "ingress-nginx-controller")
PROXIED = tuple(DnsRecord(name=host, type="A", proxied=True) for host in HOSTS)


def new(**changes: Any) -> Any:
    """A zone of which nobody has heard."""
    return observed(**{**NEVER_SEEN, **changes})


def weights(findings: Sequence[Finding]) -> list[str]:
    return [str(one.weight) for one in findings]


def only(findings: Sequence[Finding]) -> Finding:
    (one,) = findings
    return one


def test_where_nothing_stands_in_the_way_nothing_is_found() -> None:
    assert discovered(new(), Beside(records=PROXIED)) == ()
    assert not is_harmful(())


def test_the_clear_case_reads_as_it_should() -> None:
    seen = new()
    golden("preflight-clear", lines(seen, discovered(seen, Beside(records=PROXIED)), [], PLAIN))


def test_whom_cloudflare_would_not_warn_is_good_to_know_and_no_harm() -> None:
    beside = Beside(records=PROXIED, unwarned=(("spec.alerts names 'x'", "Correct it"),))
    findings = discovered(new(), beside)
    assert weights(findings) == ["NOTE"]
    assert not is_harmful(findings)
    assert only(findings).remedy == "Correct it"


def much() -> tuple[Any, Beside]:
    """Almost everything at once."""
    zone = replace(ZONE, ssl_mode="flexible", global_on=True, outranked=(WWW,))
    site = origin(None, None, open=("names under *.example.org reach Service web/shop",))
    site = replace(
        site,
        left_out=(LeftOut("x.example.com", "the name is too long. Set map-hash-bucket-size"),),
        foreign="key http-snippet has ssl_verify_client. Remove it",
    )
    ingress = {
        "metadata": {"annotations": {"cert-manager.io/issuer": "letsencrypt"}},
        "spec": {"rules": [{"host": APEX}]},
    }
    options = Options(forwarded_headers=True, lasting_tickets=True)
    beside = Beside(
        records=(
            DnsRecord(name=APEX, type="A", proxied=False),
            DnsRecord(
                name="*.example.com", type="CNAME", content="7.cfargotunnel.com", proxied=True
            ),
        ),
        origin_rules=(
            TrafficRule(
                expression='(http.host eq "www.example.com")',
                action_parameters={"sni": {"value": "a"}, "origin": {"host": "b", "port": 8443}},
            ),
        ),
        configuration_rules=(TrafficRule(expression="true", action_parameters={"ssl": "off"}),),
        blind_monitors=((LoadBalancer(name=APEX), Pool(id="1", name="eu")),),
        remarks=remarks(KEY, options, [ingress], HOSTS),
        silent={WWW: "timed out"},
        unreached=("controller-1 (timed out)",),
        unseen=("The token may not read the DNS records of the zone.",),
    )
    return new(zone=zone, origins=[site]), beside


def test_much_at_once_reads_as_it_should() -> None:
    seen, beside = much()
    golden("preflight-much", lines(seen, discovered(seen, beside), beside.unseen, PLAIN))


def test_everything_is_found_and_the_weightiest_comes_first() -> None:
    findings = discovered(*much())
    assert weights(findings) == sorted(weights(findings), key=[*Weight].index)
    assert {one.reason for one in findings if one.reason} == {
        Reason.SSL_MODE_TOO_LOW,
        Reason.FOREIGN_CERTIFICATE,
        Reason.FOREIGN_CONFIGURATION,
    }
    assert is_harmful(findings)
    assert all(one.what and one.consequence for one in findings)
    assert not [one for one in findings if one.what.endswith(".") or one.remedy.endswith(".")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"zone": Unknown("no such token", Reason.TOKEN_REJECTED)}, Reason.TOKEN_REJECTED),
        ({"zone": None}, Reason.ZONE_NOT_FOUND),
        ({"zone": replace(ZONE, active=False)}, Reason.ZONE_NOT_ACTIVE),
        ({"zone": replace(ZONE, outranked=HOSTS)}, Reason.HOSTS_SUPPRESSED),
        ({"origins": [replace(origin(None, None), allowed=False)]}, Reason.ORIGIN_NOT_ALLOWED),
        ({"origins": [replace(origin(None, None), configured=None)]}, Reason.ORIGIN_NOT_FOUND),
        ({"origins": [replace(origin(None, None), readers=0)]}, Reason.NO_CONTROLLER),
        ({"origins": [replace(origin(None, None), hosts=())]}, Reason.NO_HOSTS),
    ],
)
def test_what_the_rules_stop_at_stops(change: dict[str, Any], reason: Reason) -> None:
    one = only(discovered(new(**change), Beside()))
    assert (one.weight, one.reason) == (Weight.STOPS, reason)


def test_each_thing_that_stops_is_found_and_not_only_the_first() -> None:
    zone = replace(ZONE, active=False, ssl_mode="off", outranked=HOSTS)
    findings = discovered(new(zone=zone), Beside())
    assert [one.reason for one in findings] == [
        Reason.ZONE_NOT_ACTIVE,
        Reason.SSL_MODE_TOO_LOW,
        Reason.HOSTS_SUPPRESSED,
    ]


def test_each_origin_is_looked_at_by_itself() -> None:
    origins = [
        replace(origin(None, None), name="one", readers=0),
        replace(origin(None, None), name="two", allowed=False),
    ]
    findings = discovered(new(origins=origins), Beside())
    assert {one.reason for one in findings} == {Reason.NO_CONTROLLER, Reason.ORIGIN_NOT_ALLOWED}


def test_a_zone_of_another_object_stops() -> None:
    other = Rival(ObjectKey("team", "theirs"), "0", NOW, new().zone.id, holds=True)
    one = only(discovered(replace(new(), rivals=(other,)), Beside()))
    assert one.reason is Reason.ZONE_CLAIMED


def test_what_could_not_be_looked_at_is_said_and_stops_nothing() -> None:
    seen = new(zone=Unknown("Cloudflare does not answer"))
    assert discovered(seen, Beside()) == ()
    assert "Cloudflare does not answer" in only_sentence(not_known(seen))


def test_where_the_zone_could_not_be_read_it_is_not_said_that_nothing_stands_in_the_way() -> None:
    seen = new(zone=Unknown("Cloudflare does not answer"))
    printed = " ".join(" ".join(lines(seen, (), not_known(seen), PLAIN)).split())
    assert "Nothing stands in the way" not in printed
    assert "so more may stand in the way" in printed


def test_a_controller_that_takes_no_change_stops() -> None:
    site = origin(None, None, stuck="The controller takes no change: unknown directive x")
    seen = new(origins=[site])
    one = only(discovered(seen, Beside(records=PROXIED)))
    assert (one.weight, one.reason) == (Weight.STOPS, Reason.CONTROLLER_STUCK)
    assert "unknown directive x" in one.what
    assert not_known(seen) == ()


def test_all_that_stays_open_at_an_origin_is_one_finding() -> None:
    site = origin(None, None, open=("Ingress a/b serves the same", "names under c reach d"))
    one = only(discovered(new(origins=[site]), Beside(records=PROXIED)))
    assert one.what == "Origin public: Ingress a/b serves the same; names under c reach d"


def only_sentence(sentences: Sequence[str]) -> str:
    (one,) = sentences
    return one


@pytest.mark.parametrize(
    ("beside", "weight", "words"),
    [
        (Beside(direct=frozenset({APEX})), Weight.LIMITS, "not proxied"),
        (Beside(silent={WWW: "timed out"}), Weight.LIMITS, "timed out"),
        (
            Beside(records=(DnsRecord(name=APEX, type="A"), *PROXIED[1:])),
            Weight.LIMITS,
            "DNS record of example.com is not proxied",
        ),
        (
            Beside(records=(DnsRecord(name="*.example.com", type="A"), PROXIED[0])),
            Weight.LIMITS,
            "www.example.com is not proxied",
        ),
        (
            Beside(
                records=(
                    DnsRecord(name=WWW, type="CNAME", content="7.CFargotunnel.com.", proxied=True),
                )
            ),
            Weight.LIMITS,
            "Tunnel",
        ),
        (
            Beside(configuration_rules=(TrafficRule(action_parameters={"ssl": "flexible"}),)),
            Weight.BREAKS,
            "flexible",
        ),
        (
            Beside(origin_rules=(TrafficRule(action_parameters={"host_header": "x.example"}),)),
            Weight.BREAKS,
            "Host x.example",
        ),
        (
            Beside(origin_rules=(TrafficRule(action_parameters={"origin": {"port": 8443}}),)),
            Weight.NOTE,
            "port 8443",
        ),
        (
            Beside(blind_monitors=((LoadBalancer(name=APEX), Pool(id="1", name="eu")),)),
            Weight.BREAKS,
            "pool eu",
        ),
    ],
)
def test_what_is_set_beside_is_found(beside: Beside, weight: Weight, words: str) -> None:
    one = only(discovered(new(), beside))
    assert one.weight is weight
    assert words in one.what


@pytest.mark.parametrize(
    "beside",
    [
        Beside(records=(DnsRecord(name="*.example.com", type="A"), *PROXIED)),
        Beside(records=(DnsRecord(name=APEX, type="MX"), *PROXIED)),
        Beside(records=(DnsRecord(name="other.example.com", type="A"), *PROXIED)),
        Beside(configuration_rules=(TrafficRule(action_parameters={"ssl": "strict"}),)),
        Beside(configuration_rules=(TrafficRule(action_parameters={"polish": "off"}),)),
        Beside(origin_rules=(TrafficRule(action_parameters={"sni": "odd", "origin": None}),)),
        Beside(silent={"other.example.com": "timed out"}),
    ],
)
def test_what_changes_nothing_is_not_found(beside: Beside) -> None:
    assert discovered(new(), beside) == ()


@pytest.mark.parametrize(
    ("options", "ingress", "count"),
    [
        (Options(), {}, 0),
        (Options(forwarded_headers=True), {}, 1),
        (Options(lasting_tickets=True), {}, 1),
        (Options(), {"spec": {"rules": [{"host": APEX}]}}, 0),
        (
            Options(),
            {
                "metadata": {"annotations": {"kubernetes.io/tls-acme": "true"}},
                "spec": {"rules": [{"host": "other.example.com"}]},
            },
            0,
        ),
        (
            Options(),
            {
                "spec": {
                    "rules": [
                        {
                            "host": APEX,
                            "http": {"paths": [{"path": "/.well-known/acme-challenge/abc"}]},
                        }
                    ]
                }
            },
            1,
        ),
    ],
)
def test_a_controller_is_remarked_on(options: Options, ingress: Any, count: int) -> None:
    assert len(remarks(KEY, options, [ingress], HOSTS)) == count


def test_programs_get_the_findings_too() -> None:
    seen, beside = much()
    content = data(seen, discovered(seen, beside), beside.unseen)
    assert content["findings"][0]["weight"] == "STOPS"
    assert content["hosts"] == list(HOSTS)
    assert content["unseen"] == list(beside.unseen)


def test_a_hostile_name_reaches_no_terminal() -> None:
    seen, beside = (
        new(),
        Beside(
            origin_rules=(
                TrafficRule(expression="\x1b[2Jx", action_parameters={"host_header": "\x1b]0;y"}),
            )
        ),
    )
    assert "\x1b" not in "\n".join(lines(seen, discovered(seen, beside), ["\x1b[1m"], PLAIN))


def test_the_page_lists_the_permissions_that_only_this_takes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kubectl.md").read_text()
    needed = [one for one in vars(traffic).values() if isinstance(one, Permission)]
    assert len(needed) == 5
    assert [one.name for one in needed if one.name not in page] == []
