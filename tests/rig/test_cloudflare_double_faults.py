"""Faults hit what they mean, as often as they say, and nothing else."""

from sandbox.cloudflare.faults import ApiFault, EdgeFault, Faults


def struck(faults: Faults[ApiFault], method: str, path: str) -> int | None:
    hit = faults.strike([rule for rule in faults.rules if rule.matches(method, path)])
    return hit.status if hit else None


def test_a_fault_hits_the_calls_that_it_means() -> None:
    faults = Faults[ApiFault]()
    faults.add(ApiFault(method="put", path="/zones/*/settings", status=500))
    assert struck(faults, "PUT", "/zones/x/origin_tls_client_auth/settings") == 500
    assert struck(faults, "GET", "/zones/x/origin_tls_client_auth/settings") is None
    assert struck(faults, "PUT", "/zones/x") is None


def test_a_fault_is_used_up_and_can_let_some_pass_first() -> None:
    faults = Faults[ApiFault]()
    faults.add(ApiFault(status=429, skip=1, count=2))
    assert [struck(faults, "GET", "/zones") for _ in range(5)] == [None, 429, 429, None, None]
    assert faults.rules == []


def test_the_next_rule_counts_where_the_first_lets_pass() -> None:
    faults = Faults[ApiFault]()
    faults.add(ApiFault(status=429, skip=1))
    faults.add(ApiFault(status=500, count=1))
    assert [struck(faults, "GET", "/zones") for _ in range(2)] == [500, 429]


def test_a_fault_can_be_taken_away_by_id() -> None:
    faults = Faults[ApiFault]()
    rule = faults.add(ApiFault(status=503))
    assert faults.remove(rule.id)
    assert not faults.remove(rule.id)
    assert struck(faults, "GET", "/zones") is None


def test_an_edge_fault_is_bound_to_location_scheme_host_and_path() -> None:
    rule = EdgeFault(
        location="FRA", scheme="https", host="*.example.com", path="/.well-known/*", answer=403
    )
    assert rule.matches("FRA", "https", "www.example.com", "/.well-known/check")
    assert not rule.matches("AMS", "https", "www.example.com", "/.well-known/check")
    assert not rule.matches("FRA", "http", "www.example.com", "/.well-known/check")
    assert not rule.matches("FRA", "https", "example.com", "/.well-known/check")
    assert not rule.matches("FRA", "https", "www.example.com", "/")
