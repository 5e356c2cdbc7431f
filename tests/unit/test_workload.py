"""A server in a workload: whose pods those are, how they are replaced, why they do not start, and the ConfigMap that is made for it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from aop.errors import Blocked, Reason
from aop.origins.sites import Read, Rejection, Rollout
from aop.origins.workload import NGINX, TRAEFIK
from aop.origins.workload.pods import Owner, owner_of, serving
from aop.origins.workload.site import WorkloadSite
from aop.origins.workload.spec import Apply, Nginx, Traefik
from aop.origins.workload.traefik import TraefikDialect
from aop.pki import throwaway
from aop.terms import Kind, Mode, ObjectKey, Target
from aop.terms.names import CLAIMED_LABEL, ROLLED_OUT_ANNOTATION, WATCH_LABEL
from builders import APEX, LEAF, NEXT, NOW, OFF, REQUIRING, UID, WWW, claim

Json = dict[str, Any]
NAMESPACE, NAME = "web", "frontend-aop"
TARGET = Target("nginx", NAMESPACE, NAME)
CARRIER = Read(Kind.CONFIG_MAP, NAMESPACE, NAME)
MARK = ROLLED_OUT_ANNOTATION + NAME
VOLUMES = [{"name": "aop", "configMap": {"name": NAME, "optional": True}}]
CONTAINER = {"name": "nginx", "volumeMounts": [{"name": "aop", "mountPath": "/etc/nginx/aop"}]}


def spec(**more: Any) -> Nginx:
    reference = {"kind": "Deployment", "namespace": NAMESPACE, "name": "frontend"}
    named = {"workloadRef": reference, "configMapRef": {"namespace": NAMESPACE, "name": NAME}}
    return Nginx.model_validate({**named, **more})


SPEC = spec()


def pod(name: str = "one", *, of: str = "frontend", mounts: bool = True, **status: Any) -> Json:
    owner = {"kind": "ReplicaSet", "name": f"{of}-5c5d", "controller": True}
    metadata: Json = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}"}
    metadata |= {"ownerReferences": [owner], "labels": {"pod-template-hash": "5c5d"}}
    inside = {"volumes": VOLUMES if mounts else [], "containers": [CONTAINER] if mounts else []}
    ready: Json = {"phase": "Running", "podIP": "192.0.2.1"}
    ready |= {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": metadata, "spec": inside, "status": {**ready, **status}}


def deployment(
    mark: str | None = None, *, volumes: Any = VOLUMES, status: Any = None, **more: Any
) -> Json:
    template = {
        "metadata": {"annotations": {"theirs": "x"} | ({MARK: mark} if mark else {})},
        "spec": {"volumes": volumes, "containers": [CONTAINER]},
    }
    return {
        "metadata": {"namespace": NAMESPACE, "name": "frontend", "generation": 3},
        "spec": {"template": template, **more},
        "status": {"observedGeneration": 3} | (status or {}),
    }


def site(
    config_map: Json | None = None,
    pods: tuple[Json, ...] = (pod(),),
    workloads: tuple[Json, ...] = (deployment(),),
    its: Nginx | None = SPEC,
    kind: Kind = Kind.DEPLOYMENT,
) -> WorkloadSite:
    objects: dict[Read, tuple[Json, ...] | None] = {
        CARRIER: () if config_map is None else (config_map,),
        Read(Kind.POD, NAMESPACE): pods,
        Read(kind, NAMESPACE): workloads,
    }
    return NGINX.site(TARGET, objects, its)


def published(*claims: Any, before: Json | None = None, **more: Any) -> Json:
    body = before
    for one in claims:
        body = site(body).publish(one, spec=SPEC, token_if_new="k3y0fth3path", **more)
    assert body is not None
    return body


# --- the ConfigMap -----------------------------------------------------------------------------------------------------


def test_it_is_made_with_the_first_claim_and_deleted_with_the_last() -> None:
    assert (site().exists, site().published.claims) == (False, {})
    body = published(OFF)
    assert body["metadata"]["namespace"] == NAMESPACE
    assert body["metadata"]["name"] == NAME
    assert body["metadata"]["labels"] == {CLAIMED_LABEL: "nginx", WATCH_LABEL: "true"}
    assert sorted(body["data"]) == ["http.conf", "server.conf"]
    body = published(REQUIRING, before=body)
    assert site(body).published.claims == {UID: REQUIRING}
    assert site(body).withdraw("somebody") == body
    assert site(body).withdraw(UID) is None


def test_one_that_others_have_put_something_into_since_stays_without_ours() -> None:
    body = published(REQUIRING)
    body["data"]["robots.txt"] = "theirs"
    left = site(body).withdraw(UID)
    assert left is not None
    assert left["data"] == {"robots.txt": "theirs"}
    assert left["metadata"] == {"namespace": NAMESPACE, "name": NAME}


def test_an_empty_one_of_somebodys_is_left_as_it_was() -> None:
    theirs: Json = {"metadata": {"namespace": NAMESPACE, "name": NAME, "labels": {"app": "web"}}}
    body = published(REQUIRING, before=theirs)
    assert site(body).withdraw(UID) == theirs


@pytest.mark.parametrize(
    "more",
    [
        {"data": {"robots.txt": "x"}},
        {"data": {"http.conf": "gzip on;"}},
        {"binaryData": {"x": "eA=="}},
        {"immutable": True},
    ],
    ids=str,
)
def test_one_that_is_not_ours_is_refused_and_nothing_is_written(more: Json) -> None:
    theirs = {"metadata": {"namespace": NAMESPACE, "name": NAME}, **more}
    objection = site(theirs).objection(SPEC)
    assert objection
    with pytest.raises(Blocked) as caught:
        published(OFF, before=theirs)
    assert (caught.value.reason, caught.value.message) == (
        Reason.FOREIGN_CONFIGURATION,
        objection,
    )
    assert site(theirs).published.residue is False


def test_where_an_origin_listens_is_known_after_it_has_left_the_spec() -> None:
    other = spec(ports={"https": 8443, "http": 8080})
    body = site(its=other).publish(OFF, spec=other, token_if_new="k3y0fth3path")
    body = site(body, its=None).publish(OFF, spec=None, token_if_new="other000")
    (replica,) = site(body, its=None).replicas
    assert (replica.https_port, replica.http_port) == (8443, 8080)
    (replica,) = site(body).replicas
    assert (replica.https_port, replica.http_port) == (443, 80), (
        "the spec counts where there is one"
    )


# --- pods --------------------------------------------------------------------------------------------------------------


def test_whose_a_pod_is() -> None:
    assert owner_of(pod()) == Owner("Deployment", "frontend")
    assert owner_of(pod(of="front-end")) == Owner("Deployment", "front-end")
    direct = pod()
    direct["metadata"]["ownerReferences"] = [
        {"kind": "Node", "name": "x"},
        {"kind": "DaemonSet", "name": "web", "controller": True},
    ]
    assert owner_of(direct) == Owner("DaemonSet", "web")
    direct["metadata"]["ownerReferences"] = [
        {"kind": "ReplicaSet", "name": "by-hand", "controller": True}
    ]
    assert owner_of(direct) == Owner("ReplicaSet", "by-hand")
    del direct["metadata"]["ownerReferences"]
    assert owner_of(direct) is None


def test_pods_of_before_the_mount_count_as_long_as_there_are_some_with_it() -> None:
    """They serve the same hosts, and cannot refuse anybody."""
    old, new, other = pod("old", mounts=False), pod("new"), pod("other", of="api", mounts=False)
    assert [one["metadata"]["name"] for one in serving([old, new, other], NAME)] == ["new", "old"]
    assert serving([old, other], NAME) == ()
    assert site(pods=(old,)).replicas == ()


def test_a_projected_volume_holds_it_as_well() -> None:
    projected = pod()
    sources = [{"configMap": {"name": "x"}}, {"configMap": {"name": NAME, "optional": True}}]
    projected["spec"]["volumes"] = [{"name": "aop", "projected": {"sources": sources}}]
    assert serving([projected], NAME) == (projected,)


# --- what the workload must be -----------------------------------------------------------------------------------------


def volumes(**source: Any) -> Json:
    return deployment(volumes=[{"name": "aop", "configMap": {"name": NAME, **source}}])


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (site(workloads=()), "the pod template of Deployment web/frontend does not mount"),
        (site(workloads=(deployment(volumes=[]),)), "does not mount ConfigMap web/frontend-aop"),
        (site(workloads=(volumes(),)), "without optional: true"),
        (site(workloads=(volumes(optional=False),)), "without optional: true"),
        (
            site(pods=(pod(), pod("x", of="api"))),
            "pod x does not belong to Deployment web/frontend and mounts",
        ),
        (site(workloads=(deployment(paused=True),)), "is paused. Resume it, or set apply: Reload"),
        (
            site(workloads=(deployment(updateStrategy={"type": "OnDelete"}),)),
            "Set it to RollingUpdate, or set apply: Reload",
        ),
        (
            site(workloads=(deployment(updateStrategy={"rollingUpdate": {"partition": 1}}),)),
            "some of its pods stay as they are. Set partition: 0, or set apply: Reload",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(origin: WorkloadSite, words: str) -> None:
    objection = origin.objection(SPEC)
    assert objection is not None
    assert words in objection


def test_nothing_stands_in_the_way_of_what_is_as_the_document_says() -> None:
    assert site().objection(SPEC) is None
    paused = site(workloads=(deployment(paused=True),))
    assert paused.objection(spec(apply="Reload")) is None
    whole = deployment(updateStrategy={"rollingUpdate": {"partition": 0}})
    assert site(workloads=(whole,)).objection(SPEC) is None
    assert site(pods=(), workloads=()).objection(SPEC) is None, "that nobody reads it is said first"


@pytest.mark.parametrize("part", ["containers", "initContainers"])
def test_a_file_that_is_mounted_by_itself_stands_in_the_way(part: str) -> None:
    """While it is not there its place is taken by an empty folder, which servers end on."""
    workload = deployment()
    mount = {"name": "aop", "mountPath": "/etc/nginx/aop/http.conf", "subPath": "http.conf"}
    inside = workload["spec"]["template"]["spec"]
    inside[part] = [*inside.get(part, []), {"name": "more", "volumeMounts": [mount]}]
    objection = site(workloads=(workload,)).objection(SPEC)
    assert objection is not None
    assert "Mount the ConfigMap as a folder" in objection


def test_what_is_left_open_is_named() -> None:
    assert site().left_open((APEX, WWW)) == ()
    (sentence,) = site().left_open((APEX, "*.example.com"))
    assert "*.example.com" in sentence


# --- rolling out -------------------------------------------------------------------------------------------------------


def patched(origin: WorkloadSite, its: Nginx | None = SPEC) -> tuple[str | None, bool] | None:
    """What the annotation is to be, and whether that is the end; None: nothing is to be done."""
    rollout = origin.rollout(its)
    if rollout is None:
        return None
    assert (rollout.kind, rollout.key) == (Kind.DEPLOYMENT, ObjectKey(NAMESPACE, "frontend"))
    annotations = rollout.body["spec"]["template"]["metadata"]["annotations"]
    assert list(annotations) == [MARK]
    return annotations[MARK], rollout.leaving


def test_a_text_is_rolled_out_once_it_is_published() -> None:
    body = published(OFF)
    mark = site(body).published.mark
    assert mark is not None
    assert mark.startswith("00000001-")
    assert patched(site()) is None
    assert patched(site(body)) == (mark, False)
    assert patched(site(body, workloads=(deployment(mark),))) is None
    again = published(REQUIRING, before=body)
    assert patched(site(again, workloads=(deployment(mark),))) == (
        site(again).published.mark,
        False,
    )


def test_a_text_that_is_written_anew_has_another_mark() -> None:
    """The ConfigMap was deleted, and its revisions begin again."""
    other = site().publish(OFF, spec=SPEC, token_if_new="0ther0path")
    assert site(other).published.mark != site(published(OFF)).published.mark


def test_nothing_is_rolled_out_that_somebody_has_damaged_or_reloads() -> None:
    body = published(REQUIRING)
    assert patched(site(body), spec(apply="Reload")) is None
    body["data"]["http.conf"] += "# edited\n"
    assert patched(site(body)) is None
    assert patched(site(published(OFF), workloads=(deployment(volumes=[]),))) is None


def test_where_the_last_claim_has_left_the_annotation_goes() -> None:
    assert patched(site(None, workloads=(deployment("00000007-12345678"),))) == (None, True)
    gone = site(None, workloads=(deployment("x", volumes=[]),))
    assert patched(gone, None) == (None, True), "also where the mount is gone, or the spec"


def test_an_origin_that_left_the_spec_is_rolled_out_if_it_was() -> None:
    body = published(OFF)
    assert patched(site(body, its=None), None) is None, "somebody else reloads it"
    assert patched(site(body, workloads=(deployment("old"),), its=None), None) == (
        site(body).published.mark,
        False,
    )


def test_other_workloads_are_never_changed() -> None:
    other = deployment()
    other["metadata"]["name"] = "other"
    assert patched(site(published(OFF), workloads=(other,))) is None


def test_each_kind_of_workload_is_found() -> None:
    for kind in (Kind.STATEFUL_SET, Kind.DAEMON_SET):
        reference = {"kind": kind.title, "namespace": NAMESPACE, "name": "frontend"}
        its = spec(workloadRef=reference)
        rollout = site(published(OFF), its=its, kind=kind).rollout(its)
        assert isinstance(rollout, Rollout)
        assert rollout.kind is kind


# --- why pods do not start ---------------------------------------------------------------------------------------------

ENDED = {"exitCode": 1, "finishedAt": NOW.isoformat()}
EMERG = 'nginx: [emerg] "ssl_verify_client" directive is duplicate in /etc/nginx/nginx.conf:12'
THEIRS = 'nginx: [emerg] unknown directive "gzzip" in /etc/nginx/nginx.conf:3'


def crashing(message: str = "", at: str = NOW.isoformat()) -> Json:
    ended = ENDED | {"finishedAt": at} | ({"message": message} if message else {})
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    statuses = [{"name": "nginx", "state": state, "lastState": {"terminated": ended}}]
    return pod(containerStatuses=statuses)


def why(body: Json, one: Json, since: Any = NOW) -> Rejection | None:
    origin = site(body, pods=(one,))
    return origin.rejection([], origin.replicas[0], since)


def test_a_server_that_ends_again_and_again_rejects_what_is_new() -> None:
    body = published(REQUIRING)
    assert why(body, pod()) is None
    assert why(body, crashing()) == Rejection(
        "its container nginx ends with 1 each time", ours=True
    )
    assert why(body, crashing(f"starting\n{EMERG}\n")) == Rejection(EMERG, ours=True)
    assert why(body, crashing(THEIRS)) == Rejection(THEIRS, ours=False)
    assert why(body, crashing(), NOW + timedelta(minutes=1)) is None, "that was an older text"
    assert why(body, of_another(crashing())) is None


def of_another(one: Json) -> Json:
    """The same of a container that mounts nothing of ours."""
    one["status"]["containerStatuses"][0]["name"] = "sidecar"
    return one


def backing_off(container: str, path: str | None = None) -> Json:
    """What the kubelet says of a container that ends again and again."""
    about = {"uid": "uid-one"} | ({"fieldPath": path} if path else {})
    named = f" {container} in pod one_web(uid-one)" if container else ""
    return {
        "involvedObject": about,
        "type": "Warning",
        "reason": "BackOff",
        "message": f"Back-off restarting failed container{named}",
        "lastTimestamp": NOW.isoformat(),
    }


@pytest.mark.parametrize(
    ("event", "blamed"),
    [
        (backing_off("nginx", "spec.containers{nginx}"), True),
        (backing_off("nginx"), True),
        (backing_off(""), True),
        (backing_off("sidecar", "spec.containers{sidecar}"), False),
        (backing_off("wait", "spec.initContainers{wait}"), False),
        (backing_off("sidecar"), False),
    ],
    ids=["server", "server-by-message", "somebody", "sidecar", "init", "sidecar-by-message"],
)
def test_only_a_container_that_reads_the_text_can_reject_it(event: Json, blamed: bool) -> None:
    origin = site(published(REQUIRING))
    rejection = origin.rejection([event], origin.replicas[0], NOW)
    assert (rejection is not None) is blamed


def as_native_sidecar(one: Json) -> Json:
    """The server stands among the init containers, and goes on running."""
    lasting = CONTAINER | {"restartPolicy": "Always"}
    one["spec"] |= {"initContainers": [lasting], "containers": [{"name": "app"}]}
    statuses = one["status"].pop("containerStatuses", [])
    one["status"]["initContainerStatuses"] = statuses
    return one


def test_a_server_may_be_a_native_sidecar() -> None:
    body = published(REQUIRING)
    one = as_native_sidecar(pod(containerStatuses=[{"name": "nginx", "containerID": "x://1"}]))
    assert site(body, pods=(one,)).replicas[0].started == "x://1"
    assert why(body, as_native_sidecar(crashing(EMERG))) == Rejection(EMERG, ours=True)
    once = as_native_sidecar(pod())
    del once["spec"]["initContainers"][0]["restartPolicy"]
    assert site(body, pods=(once,)).replicas == (), "it has ended when the pod serves"


def test_a_text_that_was_in_force_is_not_to_blame() -> None:
    body = published(REQUIRING)
    body = site(body).publish(REQUIRING, spec=SPEC, token_if_new="x" * 8, seen_everywhere=1)
    rejection = why(body, crashing(EMERG))
    assert rejection is not None
    assert rejection.ours is False


def stalled(body: Json, *pods: Json, mark: str | None = None, at: Any = NOW, seen: int = 3) -> Any:
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": 'ReplicaSet "frontend-5c5d" has timed out progressing.',
        "lastUpdateTime": at.isoformat(),
    }
    status = {"observedGeneration": seen, "conditions": [condition]}
    workload = deployment(mark or site(body).published.mark, status=status)
    return site(body, pods=pods or (pod(),), workloads=(workload,)).unfinished(NOW)


def test_a_rollout_that_does_not_get_on_rejects_what_is_new() -> None:
    body = published(REQUIRING)
    assert stalled(body) == Rejection(
        'Deployment web/frontend: ReplicaSet "frontend-5c5d" has timed out progressing.', ours=True
    )
    assert stalled(body, at=NOW - timedelta(minutes=1)) is None, "that was an older text"
    assert stalled(body, seen=2) is None, "the controller has not looked yet"
    assert stalled(body, mark="another") is None
    assert site(body).unfinished(NOW) is None
    accepted = site(body).publish(REQUIRING, spec=SPEC, token_if_new="x" * 8, seen_everywhere=1)
    assert stalled(accepted).ours is False


RUNS = {"running": {"startedAt": NOW.isoformat()}}
SERVES = {"name": "nginx", "ready": True, "state": RUNS}
INITIALIZING = {"name": "nginx", "state": {"waiting": {"reason": "PodInitializing"}}}
CRASHES = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]},
        {
            "containerStatuses": [
                {"name": "x", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
            ]
        },
        {"containerStatuses": [SERVES, {"name": "x", "state": CRASHES}]},
        {"containerStatuses": [SERVES, {"name": "x", "ready": False, "state": RUNS}]},
        {
            "initContainerStatuses": [{"name": "x", "state": CRASHES}],
            "containerStatuses": [INITIALIZING],
        },
        {
            "initContainerStatuses": [{"name": "x", "state": RUNS}],
            "containerStatuses": [INITIALIZING],
        },
    ],
    ids=["unscheduled", "image", "sidecar", "unready-sidecar", "init", "endless-init"],
)
def test_who_keeps_a_pod_from_starting_is_to_blame(status: Json) -> None:
    rejection = stalled(published(REQUIRING), pod(), pod("new", **status))
    assert rejection is not None
    assert rejection.ours is False


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": [SERVES | {"ready": False}]},
        {"containerStatuses": [SERVES | {"ready": False}, {"name": "x", "state": RUNS}]},
        {"containerStatuses": [SERVES, {"name": "x", "ready": True, "state": RUNS}]},
    ],
    ids=["server", "both", "nobody"],
)
def test_a_server_that_is_never_ready_may_have_the_text_to_blame(status: Json) -> None:
    rejection = stalled(published(REQUIRING), pod(), pod("new", **status))
    assert rejection is not None
    assert rejection.ours is True


def test_a_server_that_ends_is_to_blame_beside_a_sidecar_that_does() -> None:
    sidecar = of_another(crashing())
    rejection = stalled(published(REQUIRING), crashing(EMERG), sidecar)
    assert rejection == Rejection(f"Deployment web/frontend: {EMERG}", ours=True)


def test_a_server_that_ends_by_somebodys_own_mistake_does_not_reject_the_text() -> None:
    """As long as no other pod's server ends for a reason that may be the text."""
    theirs = crashing(f"starting\n{THEIRS}\n")
    body = published(REQUIRING)
    assert stalled(body, theirs) == Rejection(f"Deployment web/frontend: {THEIRS}", ours=False)
    assert stalled(body, theirs, crashing(EMERG)).ours is True


def test_no_answer_of_a_site_changes_what_it_was_made_of() -> None:
    body, one = published(claim(Mode.REQUIRE, (WWW,), (LEAF,))), pod()
    kept = deepcopy((body, one))
    origin = site(body, pods=(one,))
    origin.publish(replace(OFF, pins=(NEXT,)), spec=SPEC, token_if_new="x" * 8)
    origin.withdraw(UID)
    origin.rollout(SPEC)
    assert (body, one) == kept


# --- what visitors may lose --------------------------------------------------------------------------------------------


GENTLE = CONTAINER | {
    "readinessProbe": {"tcpSocket": {"port": 443}},
    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    "terminationMessagePolicy": "FallbackToLogsOnError",
}
NONE_MISSING = {"rollingUpdate": {"maxUnavailable": 0}}


def remarked(kind: Kind = Kind.DEPLOYMENT, container: Json = GENTLE, **more: Any) -> list[str]:
    """What is said of a workload before its pods are replaced."""
    workload = deployment(**more)
    workload["spec"]["template"]["spec"]["containers"] = [container, {"name": "other"}]
    return [one.what for one in site(workloads=(workload,), kind=kind).remarks(())]


@pytest.mark.parametrize(
    ("kind", "more", "ended"),
    [
        (Kind.DEPLOYMENT, {"replicas": 2, "strategy": NONE_MISSING}, ""),
        (Kind.DEPLOYMENT, {"replicas": 2}, ""),
        (Kind.DEPLOYMENT, {}, ""),
        (Kind.DEPLOYMENT, {"replicas": 2, "strategy": {"type": "Recreate"}}, "all of its 2 pods"),
        (Kind.DEPLOYMENT, {"replicas": 0, "strategy": {"type": "Recreate"}}, ""),
        (
            Kind.DEPLOYMENT,
            {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}},
            "all of its 3 pods",
        ),
        (
            Kind.DEPLOYMENT,
            {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "99%"}}},
            "",
        ),
        (
            Kind.DEPLOYMENT,
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}}},
            "its only pod",
        ),
        (Kind.STATEFUL_SET, {"replicas": 2}, ""),
        (Kind.STATEFUL_SET, {"replicas": 1}, "its only pod"),
        (Kind.DAEMON_SET, {"status": {"desiredNumberScheduled": 3}}, ""),
        (Kind.DAEMON_SET, {"status": {"desiredNumberScheduled": 1}}, "its only pod"),
        (
            Kind.DAEMON_SET,
            {
                "status": {"desiredNumberScheduled": 1},
                "updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            },
            "",
        ),
    ],
)
def test_who_replaces_all_pods_at_once_is_told_so(kind: Kind, more: Any, ended: str) -> None:
    remark = [
        f"{kind.title} {NAMESPACE}/frontend ends {ended} before new ones are there, whenever its pods are replaced"
    ]
    assert remarked(kind, **more) == (remark if ended else [])


@pytest.mark.parametrize("lacking", ["readinessProbe", "lifecycle", "terminationMessagePolicy"])
def test_what_a_container_lacks_to_be_replaced_without_loss_is_named(lacking: str) -> None:
    word = {"lifecycle": "preStop"}.get(lacking, lacking)
    (remark,) = remarked(container={name: GENTLE[name] for name in GENTLE if name != lacking})
    assert f"Container nginx of Deployment {NAMESPACE}/frontend" in remark
    assert word in remark


def test_where_no_pod_is_replaced_for_us_nothing_is_said_of_it() -> None:
    reloaded = SPEC.model_copy(update={"apply": Apply.RELOAD})
    assert site(workloads=(deployment(),)).remarks(()) != ()
    assert site(workloads=(deployment(),), its=reloaded).remarks(()) == ()


# --- Traefik -----------------------------------------------------------------------------------------------------------


def traefik_site(body: Json | None, its: Traefik | None) -> WorkloadSite:
    target = Target("traefik", NAMESPACE, NAME)
    carrier = () if body is None else (body,)
    return TRAEFIK.site(target, {CARRIER: carrier, Read(Kind.POD, NAMESPACE): (pod(),)}, its)


def below(https: str, http: str | None = None) -> Traefik:
    routers = {"https": https} | ({} if http is None else {"http": http})
    common = SPEC.model_dump(mode="json", by_alias=True)
    return Traefik.model_validate(common | {"routers": routers})


def test_below_which_routers_ours_stand_is_known_after_the_origin_has_left_the_spec() -> None:
    its = below("edge-aop-1@kubernetescrd", "edge-aop-plain-1@kubernetescrd")
    body = traefik_site(None, its).publish(OFF, spec=its, token_if_new="k3y0fth3path")
    again = traefik_site(body, None)
    assert again.published.intact
    assert again.left_open((WWW,)) == (
        "no certificate is required by a router of Traefik that is not a child of edge-aop-1@kubernetescrd",
    )
    assert traefik_site(None, its).left_open((WWW,)) == again.left_open((WWW,)), (
        "before it is there"
    )
    body = again.publish(OFF, spec=None, token_if_new="other000")
    routes = yaml.safe_load(body["data"]["routes.yaml"])["http"]["routers"].values()
    assert {parent for one in routes for parent in one["parentRefs"]} == {
        "edge-aop-1@kubernetescrd",
        "edge-aop-plain-1@kubernetescrd",
    }
    moved = below("aop@file")
    body = traefik_site(body, moved).publish(OFF, spec=moved, token_if_new="other000")
    routes = yaml.safe_load(body["data"]["routes.yaml"])["http"]["routers"].values()
    assert {parent for one in routes for parent in one["parentRefs"]} == {"aop@file"}


def test_where_the_routers_are_renamed_the_first_claim_decides_and_the_others_are_told() -> None:
    """Else each of two objects would put the text where the other does not want it, again and again."""
    old, new = below("aop@file"), below("gate@file")
    first, second = OFF, replace(OFF, uid=f"{UID}-2", zone="example.org", patterns=("example.org",))
    body = traefik_site(None, old).publish(first, spec=old, token_if_new="k3y0fth3path")
    assert not traefik_site(body, old).misplaced(UID, old)
    assert traefik_site(body, new).misplaced(UID, new)
    body = traefik_site(body, new).publish(second, spec=new, token_if_new="other000")
    assert not traefik_site(body, new).misplaced(second.uid, new)
    assert traefik_site(body, None).published.place.parents.https == "aop@file"
    assert any("as another object" in one for one in traefik_site(body, new).left_open((WWW,)))
    body = traefik_site(body, new).publish(first, spec=new, token_if_new="other000")
    assert traefik_site(body, None).published.place.parents.https == "gate@file"
    assert not any("as another object" in one for one in traefik_site(body, new).left_open((WWW,)))
    left = traefik_site(body, None).withdraw(UID)
    assert traefik_site(left, old).misplaced(second.uid, old), "now that is the first"
    assert not traefik_site(left, None).misplaced(second.uid, None)
    assert not site().misplaced(UID, SPEC)


@pytest.mark.parametrize(
    ("image", "remark"),
    [
        ("traefik:v3.5", "runs Traefik 3.5"),
        ("traefik:2.11.30", "runs Traefik 2.11.30"),
        ("registry.example.com:5000/traefik:v3.6.15-alpine", "runs Traefik 3.6.15"),
        ("traefik:v3.7.2@sha256:00", "runs Traefik 3.7.2"),
        ("traefik:v3.7.3", None),
        ("traefik:v3.7", None),
        ("traefik:v4.0.0", None),
        ("traefik:latest", None),
        ("registry.example.com:5000/traefik", None),
        (None, None),
    ],
)
def test_a_traefik_that_is_too_old_is_named_as_far_as_its_image_tells(
    image: str | None, remark: str | None
) -> None:
    server = {"name": "traefik"} | ({} if image is None else {"image": image})
    remarks = TraefikDialect().remarks("Container traefik of Deployment web/frontend", server)
    assert [
        one.what.removeprefix("Container traefik of Deployment web/frontend ") for one in remarks
    ] == ([remark] if remark else [])


def test_what_is_said_of_an_image_is_said_of_the_containers_that_mount_the_config_map() -> None:
    workload = deployment()
    old = {"image": "traefik:v3.5.0"}
    workload["spec"]["template"]["spec"]["containers"] = [CONTAINER | old, {"name": "other"} | old]
    objects: dict[Read, tuple[Json, ...] | None] = {Read(Kind.DEPLOYMENT, NAMESPACE): (workload,)}
    remarks = TRAEFIK.site(Target("traefik", NAMESPACE, NAME), objects, below("aop@file")).remarks(
        ()
    )
    assert [one.what for one in remarks if "3.5.0" in one.what] == [
        "Container nginx of Deployment web/frontend runs Traefik 3.5.0"
    ]


def test_which_start_of_its_server_a_pod_is_in_is_told_by_its_containers() -> None:
    def started(*containers: tuple[str, str]) -> str:
        statuses = [{"name": name, "containerID": number} for name, number in containers]
        (one,) = site(pods=(pod(containerStatuses=statuses),)).replicas
        return one.started

    assert started(("nginx", "cri://1"), ("other", "cri://2")) == "cri://1"
    assert started(("nginx", "cri://3"), ("other", "cri://2")) == "cri://3"
    assert started() == ""


def test_a_leaf_stands_in_our_text_alone_and_is_known_from_there() -> None:
    its, leaf = below("aop@file"), throwaway(NOW).leaf.pin
    requiring = claim(pins=(leaf,))
    body = traefik_site(None, its).publish(requiring, spec=its, token_if_new="k3y0fth3path")
    assert leaf.der not in str(body["metadata"])
    (known,) = traefik_site(body, None).published.claims[UID].pins
    assert (known, known.der) == (leaf, leaf.der)
    digests = replace(requiring, pins=(replace(leaf, der=""),))
    written = traefik_site(body, its).publish(digests, spec=its, token_if_new="k3y0fth3path")
    assert leaf.der not in written["data"]["routes.yaml"], "what is asked for is what is written"
