"""Which pods read a ConfigMap, by their own arguments, and the controller's own settings."""

from __future__ import annotations

from typing import Any

import pytest

from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.replicas import Controller, readers, replicas, unwatched
from aop.terms import ObjectKey
from builders import TARGET


def pod(*arguments: str, name: str = "one", ready: bool = True, **more: Any) -> dict[str, Any]:
    """A controller's pod; without arguments, with those of the Helm chart."""
    status = {
        "phase": "Running",
        "podIP": "192.0.2.1",
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    container = {
        "name": "controller",
        "args": list(
            arguments
            or (
                "/nginx-ingress-controller",
                "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller",
            )
        ),
        "env": [
            {
                "name": "POD_NAMESPACE",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
            }
        ],
    }
    metadata = {"namespace": TARGET.namespace, "name": name, "uid": f"uid-{name}"}
    return {
        "metadata": metadata | more.pop("metadata", {}),
        "spec": {"containers": [{"name": "sidecar"}, container | more.pop("container", {})]},
        "status": status | more.pop("status", {}),
    }


def only(*pods: dict[str, Any]) -> Controller:
    (reader,) = readers(pods, TARGET.key)
    return reader


# --- who reads it ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [f"--configmap={TARGET.key}"],
        ["--configmap", str(TARGET.key)],
        ["--configmap=$(POD_NAMESPACE)/ingress-nginx-controller"],
        ["--v=2", "--configmap=other/other", f"--configmap={TARGET.key}"],
        [f"--configmap=$(POD_NAMESPACE)/{TARGET.name}", "--enable-metrics"],
    ],
)
def test_a_pod_that_names_the_config_map_reads_it(words: list[str]) -> None:
    assert only(pod("/nginx-ingress-controller", *words)).name == "one"


@pytest.mark.parametrize(
    "words",
    [
        ["--v=2"],
        [f"--configmap={TARGET.key}x"],
        [f"--configmap={TARGET.key}", "--configmap=other/other"],
        ["--configmap=$$(POD_NAMESPACE)/ingress-nginx-controller"],
        ["--configmap=$(UNKNOWN)/ingress-nginx-controller"],
        [f"--tcp-services-configmap={TARGET.key}"],
        ["--configmap"],
    ],
)
def test_a_pod_that_names_another_or_none_does_not(words: list[str]) -> None:
    assert readers([pod("/nginx-ingress-controller", *words)], TARGET.key) == ()


def test_the_command_counts_as_much_as_the_arguments() -> None:
    replicas = pod(
        container={
            "command": ["/nginx-ingress-controller", f"--configmap={TARGET.key}"],
            "args": [],
        }
    )
    assert only(replicas).name == "one"


def test_variables_are_expanded_in_the_order_in_which_they_are_defined() -> None:
    variables = [
        {"name": "NS", "value": TARGET.namespace},
        {"name": "REF", "value": "$(NS)/$(LATER)"},
        {"name": "LATER", "value": "x"},
    ]
    assert readers([pod("c", "--configmap=$(REF)", container={"env": variables})], TARGET.key) == ()
    variables[1]["value"] = f"$(NS)/{TARGET.name}"
    assert (
        only(pod("c", "--configmap=$(REF)", container={"env": variables})).key.namespace
        == TARGET.namespace
    )


def test_a_value_that_only_the_kubelet_can_read_is_not_guessed() -> None:
    secret = [{"name": "REF", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]
    assert readers([pod("c", "--configmap=$(REF)", container={"env": secret})], TARGET.key) == ()


def test_pods_are_sorted_and_those_that_have_ended_read_nothing() -> None:
    ended = [pod(name=phase.lower(), status={"phase": phase}) for phase in ("Succeeded", "Failed")]
    replicas = readers([pod(name="two"), pod(name="one"), *ended], TARGET.key)
    assert [replica.name for replica in replicas] == ["one", "two"]


@pytest.mark.parametrize(
    "not_ready",
    [
        pod(ready=False),
        pod(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}),
        pod(status={"podIP": ""}),
        pod(status={"conditions": []}),
    ],
    ids=["not ready", "terminating", "no address", "no conditions"],
)
def test_a_pod_that_gets_no_traffic_reads_and_cannot_be_asked(not_ready: dict[str, Any]) -> None:
    assert not only(not_ready).ready
    assert replicas([not_ready, pod(name="two")], TARGET.key) == (only(pod(name="two")),)


def test_the_flags_that_matter_are_read_with_the_controllers_own_defaults() -> None:
    plain = only(pod())
    assert (plain.http_port, plain.https_port, plain.ingress_class, plain.controller_class) == (
        80,
        443,
        "nginx",
        "k8s.io/ingress-nginx",
    )
    assert (plain.class_by_name, plain.without_class, plain.watch_namespace, plain.passthrough) == (
        False,
        False,
        "",
        False,
    )
    flags = [
        "--http-port=8080",
        "--https-port",
        "8443",
        "--ingress-class=internal",
        "--controller-class=example.com/internal",
    ]
    flags += [
        "--ingress-class-by-name",
        "--watch-ingress-without-class=true",
        "--watch-namespace=shop",
        "--enable-ssl-passthrough",
    ]
    flags_read = only(
        pod("c", f"--configmap={TARGET.key}", *flags, "--annotations-prefix=example.com")
    )
    assert (
        flags_read.http_port,
        flags_read.https_port,
        flags_read.ingress_class,
        flags_read.controller_class,
    ) == (
        8080,
        8443,
        "internal",
        "example.com/internal",
    )
    assert (
        flags_read.class_by_name,
        flags_read.without_class,
        flags_read.watch_namespace,
        flags_read.passthrough,
    ) == (
        True,
        True,
        "shop",
        True,
    )
    assert flags_read.annotations_prefix == "example.com"


@pytest.mark.parametrize(
    ("value", "on"),
    [("true", True), ("1", True), ("", True), ("false", False), ("0", False), ("yes", False)],
)
def test_a_flag_is_on_as_the_controllers_own_parser_has_it(value: str, on: bool) -> None:
    assert (
        only(
            pod("c", f"--configmap={TARGET.key}", f"--watch-ingress-without-class={value}")
        ).without_class
        is on
    )


def test_a_port_that_is_none_counts_as_not_given() -> None:
    assert only(pod("c", f"--configmap={TARGET.key}", "--https-port=https")).https_port == 443


@pytest.mark.parametrize(
    ("watched", "seen"), [("", False), (TARGET.namespace, False), ("shop", True)]
)
def test_a_controller_of_another_namespace_reads_the_config_map_once_and_never_again(
    watched: str, seen: bool
) -> None:
    assert (
        unwatched(
            only(pod("c", f"--configmap={TARGET.key}", f"--watch-namespace={watched}")), TARGET.key
        )
        is seen
    )


# --- the controller's own settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ({}, Options()),
        ({"map-hash-bucket-size": "128"}, Options(map_hash_bucket_size=128)),
        ({"map-hash-bucket-size": "many"}, Options()),
        ({"map-hash-bucket-size": "0"}, Options()),
        ({"ssl-session-cache-size": "20m"}, Options(session_cache_size="20m")),
        ({"ssl-session-cache-size": "20m; ssl_verify_client off"}, Options()),
        (
            {"ssl-session-cache": "false", "ssl-session-cache-size": "20m"},
            Options(session_cache_size=None),
        ),
        ({"ssl-session-cache": "no"}, Options()),
        ({"use-proxy-protocol": "True"}, Options(proxy_protocol=True)),
        ({"ssl-session-tickets": "true"}, Options()),
        (
            {"ssl-session-tickets": "true", "ssl-session-ticket-key": "a"},
            Options(lasting_tickets=True),
        ),
        ({"ssl-session-ticket-key": "a"}, Options()),
    ],
)
def test_a_setting_that_its_type_cannot_hold_counts_as_absent(
    data: dict[str, str], options: Options
) -> None:
    assert Options.read({"data": data}) == options


def test_no_config_map_has_the_defaults() -> None:
    assert Options.read(None) == Options.read({}) == Options()


def test_a_replica_is_named_by_its_pod() -> None:
    assert Controller(ObjectKey("a", "b"), "uid", ready=True, ip="192.0.2.1").name == "b"
