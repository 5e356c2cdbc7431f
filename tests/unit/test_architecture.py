"""What keeps the structure as it is, and is not seen by import-linter, which `make check` runs over the floors of pyproject.toml."""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from aop.cluster import Kind
from aop.handlers import WATCHED, register
from aop.origins.kinds import KINDS
from aop.origins.sites import Scope
from aop.origins.spec import Origin
from aop.terms import Target
from committed import ROOT, committed, nodes, parsed

PACKAGE = ROOT / "operator" / "aop"
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PURE = (
    "measured",
    "status",
    "plan",
    "crd",
    "observed",
    "steps",
    "record",
    "api",
    "origins",
    "pki",
    "errors",
    "reasons",
    "schema",
)

Grants = dict[tuple[str, str], set[str]]
"""(API group, resource or resource/subresource) -> verbs."""


def modules(*floors: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if not floors or path.relative_to(PACKAGE).parts[0].removesuffix(".py") in floors:
            yield path, parsed(path)


# --- the source root ----------------------------------------------------------------------------------------------------


def test_the_source_root_holds_nothing_but_the_package() -> None:
    """A file there, or an `__init__.py`, would shadow the standard library's `operator` for whoever has the repository on its path."""
    assert {path.name for path in (ROOT / "operator").iterdir()} - {"__pycache__"} == {"aop"}
    assert ROOT not in Path(operator.__file__).parents


def test_every_package_of_the_source_says_why_it_exists() -> None:
    assert [path.name for path, tree in modules() if not ast.get_docstring(tree)] == []


def test_pure_floors_look_at_no_clock_and_no_file() -> None:
    """Imports are import-linter's affair; `datetime.now`, `open` and `print` need none."""
    offences = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in modules(*PURE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in {"now", "utcnow", "today", "read_text", "write_text"}
            )
            or (isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"})
        )
    ]
    assert offences == []


def test_nothing_is_defined_that_the_product_never_names() -> None:
    """What nothing but tests reaches promises something that nobody keeps; so does a field that is only set.

    Kopf, pydantic and `Enum` reach theirs by other ways.
    """
    by_others = {
        *("describe", "collect"),  # the client of Prometheus asks a collector for them
        *Origin.model_fields,  # `Origin.kinds` reads each kind's field by its name
    }
    mentions: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for path, _ in modules():
        for word, number in named(path):
            mentions[word].append((path, number))
    unnamed = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
        for path, tree in modules()
        for node, name in defined(tree)
        if name not in by_others
        and not any(
            other != path or not node.lineno <= number <= (node.end_lineno or 0)
            for other, number in mentions[name]
        )
    ]
    assert unnamed == []


def named(path: Path) -> Iterator[tuple[str, int]]:
    """What a module names, by line, be it as a text such as a template has; docstrings name nothing."""
    for node in nodes(path):
        match node:
            case ast.Name(id=word, ctx=ast.Load()) | ast.Attribute(attr=word):
                yield word, node.lineno
            case ast.alias(name=word):
                yield word, node.lineno
            case ast.MatchClass(kwd_attrs=words):
                yield from ((word, node.lineno) for word in words)
            case ast.Constant(value=str(text)) if docstrings(path).isdisjoint({id(node)}):
                yield from ((word, node.lineno) for word in re.findall(r"\w+", text))


@cache
def docstrings(path: Path) -> frozenset[int]:
    """The constants that are a statement by themselves."""
    return frozenset(
        id(node.value)
        for node in nodes(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def defined(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Functions without a decorator, classes, and variables and fields; not the members of an enumeration, which stand for values from outside."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.ClassDef(name=name, bases=bases, body=body):
                yield node, name
                if not any("Enum" in ast.unparse(base) for base in bases):
                    yield from defined(ast.Module(body, []))
            case (
                ast.FunctionDef(name=name, decorator_list=decorators)
                | ast.AsyncFunctionDef(name=name, decorator_list=decorators)
            ):
                if not name.startswith("__") and all(
                    ast.unparse(one) in {"property", "classmethod", "staticmethod"}
                    for one in decorators
                ):
                    yield node, name
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))
            ) if name != "model_config" and not name.startswith("__"):
                yield node, name


# --- permissions --------------------------------------------------------------------------------------------------------

BY_DRIVER = (
    "observe/sources.py",
    "observe/rollouts.py",
    "observe/carrier.py",
    "orphans.py",
)
"""Where the kind comes from a driver: what each of them needs is asked of it."""
VERBS = {
    "fetch": "get",
    "find": "list",
    "list": "list",
    "create": "create",
    "replace": "update",
    "merge": "patch",
    "delete": "delete",
}
"""Methods of `Cluster`, and what the API server calls them."""


def of_the_cluster_floor() -> Grants:
    """What every call of a `Cluster` in the source needs."""
    needed: Grants = defaultdict(set)
    for path, _ in modules():
        for call in nodes(path):
            match call:
                case ast.Call(
                    func=ast.Attribute(attr=method),
                    args=[ast.Attribute(value=ast.Name(id="Kind"), attr=kind), *more],
                    keywords=keywords,
                ) if method in VERBS:
                    given = {keyword.arg: keyword.value for keyword in keywords}
                    resource = Kind[kind].plural
                    match more[2] if len(more) > 2 else given.get("subresource"):
                        case ast.Constant(value=str(subresource)):
                            resource += f"/{subresource}"
                    needed[group_of(Kind[kind]), resource].add(VERBS[method])
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="_cluster"), attr=method)
                ) if method in VERBS and str(path.relative_to(PACKAGE)) not in BY_DRIVER:
                    pytest.fail(
                        f"{path}:{call.lineno}: the kind is not written where it is called, so this test cannot see it"
                    )
    return needed


def of_the_drivers(*names: str) -> Grants:
    """What these origin kinds have read, the one object of theirs that is written, and the workloads that they have replaced."""
    needed: Grants = defaultdict(set)
    for kind in KINDS.values():
        if kind.name not in names:
            continue
        target = Target(kind.name, "ingress-nginx", "controller")
        for read in kind.reads(target, Scope(routers=True, routes=True)):
            # What is listed is watched, too (docs/adr/0025).
            needed[group_of(read.kind), read.kind.plural] |= (
                {"get"} if read.name else {"list", "watch"}
            )
        needed[group_of(kind.carried_by), kind.carried_by.plural] |= {"list", "update"}
        if kind.capabilities.creates_carrier:
            needed[group_of(kind.carried_by), kind.carried_by.plural] |= {"create", "delete"}
        for workload in kind.rolls_out:
            needed[group_of(workload), workload.plural].add("patch")
    return needed


def group_of(kind: Kind) -> str:
    prefix = kind.collection().split("/")
    return prefix[2] if prefix[1] == "apis" else ""


def of_the_watch_layer() -> Grants:
    """What Kopf needs for the handlers that are registered (facts: kopf#rights)."""
    registry = kopf.OperatorRegistry()
    for kind in WATCHED:
        register(registry, kind, login=lambda **_: None, tell=lambda *_: None)
    needed: Grants = defaultdict(set)
    for handlers in (registry._watching, registry._spawning, registry._changing):
        for selector in handlers.get_all_selectors():
            needed[selector.group or "", str(selector.plural or selector.any_name)] |= {
                "list",
                "watch",
            }
    needed["apiextensions.k8s.io", "customresourcedefinitions"] |= {
        "list",
        "watch",
    }  # whether the resource is installed
    return needed


DEFAULT, WIDE, WORKLOADS, TRAEFIK, GATEWAYS = (
    Path(),
    Path("cluster-wide"),
    Path("workloads"),
    Path("traefik"),
    Path("gateways"),
)
"""Below deploy/manifests: what is installed by default, where everything is granted that an ingress
controller needs, what NGINX and Traefik in one Deployment need, and what one Gateway needs."""


def roles(form: Path) -> Iterator[dict[str, Any]]:
    """The Roles and ClusterRoles that the shipped bindings give to the operator's own ServiceAccount."""
    documents = list(
        yaml.safe_load_all((ROOT / "deploy" / "manifests" / form / "20-rbac.yaml").read_text())
    )
    bound = {
        (one["roleRef"]["kind"], one["metadata"].get("namespace"), one["roleRef"]["name"])
        for one in documents
        if "roleRef" in one
    }
    return (
        one
        for one in documents
        if (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) in bound
    )


def granted(form: Path, *kinds: str) -> Grants:
    """What its roles of these kinds (all, if none is named) add up to, wherever they hold."""
    grants: Grants = defaultdict(set)
    for role in roles(form):
        for rule in role["rules"] if not kinds or role["kind"] in kinds else ():
            for api_group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    grants[api_group, resource] |= set(rule["verbs"])
    return grants


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (DEFAULT, "ingressNginx"),
        (WIDE, "ingressNginx"),
        (WORKLOADS, "nginx"),
        (TRAEFIK, "traefik"),
        (GATEWAYS, "gatewayAPI"),
    ],
    ids=["default", "wide", "workloads", "traefik", "gateways"],
)
def test_the_operator_may_do_what_it_does_and_nothing_else(form: Path, kind: str) -> None:
    needed = of_the_cluster_floor()
    kinds = of_the_drivers(kind)
    for what, verbs in (*of_the_watch_layer().items(), *kinds.items()):
        needed[what] |= verbs
    if form in {WORKLOADS, TRAEFIK}:
        # The one workload that the values name.
        for other in ("statefulsets", "daemonsets"):
            needed["apps", other].discard("patch")
    if form != WIDE:
        # With namespaces by name the watch layer looks for the resource once, and does not watch
        # for it.
        del needed["apiextensions.k8s.io", "customresourcedefinitions"]
    assert granted(form) == needed


def test_by_default_the_whole_cluster_shows_its_ingresses_and_nothing_else() -> None:
    """Secrets, ConfigMaps, pods, the resource itself: in named namespaces only."""
    group = "networking.k8s.io"
    assert granted(DEFAULT, "ClusterRole") == {
        (group, "ingresses"): {"list", "watch"},
        (group, "ingressclasses"): {"list", "watch"},
    }


def test_by_default_only_named_config_maps_may_be_read_one_by_one_or_written() -> None:
    rules = [
        rule
        for role in roles(DEFAULT)
        for rule in role["rules"]
        if "configmaps" in rule["resources"]
    ]
    assert [
        rule.get("resourceNames") for rule in rules if set(rule["verbs"]) - {"list", "watch"}
    ] == [["ingress-nginx-controller"]]


def test_secrets_are_never_listed_by_our_own_client() -> None:
    """Kopf lists and watches those with our label; everything else is read by name."""
    assert of_the_cluster_floor()["", "secrets"] == {"get", "create", "update"}


def test_nothing_is_deleted_but_the_one_config_map_that_was_made_for_a_workload() -> None:
    """What else we made leaves by owner reference; what we changed is put back."""
    for form in (DEFAULT, WIDE, GATEWAYS):
        assert not {"delete", "deletecollection"} & {
            verb for verbs in granted(form).values() for verb in verbs
        }
    rules = [rule for role in roles(WORKLOADS) for rule in role["rules"]]
    assert [
        (rule["resources"], rule.get("resourceNames"))
        for rule in rules
        if {"delete", "deletecollection"} & set(rule["verbs"])
    ] == [(["configmaps"], ["frontend-aop"])]


def test_of_workloads_only_those_in_the_values_may_be_changed() -> None:
    rules = [rule for role in roles(WORKLOADS) for rule in role["rules"]]
    changed = [
        rule for rule in rules if "apps" in rule["apiGroups"] and rule["verbs"] != ["list", "watch"]
    ]
    assert [(one["resources"], one.get("resourceNames"), one["verbs"]) for one in changed] == [
        (["deployments"], ["frontend"], ["patch"])
    ]


# --- what may not be committed ------------------------------------------------------------------------------------------

FORBIDDEN = {
    "an absolute path of somebody's machine": re.compile(
        r"(?<![\w.{}/-])/(?:root|home|Users|work)/[\w.-]+"
    ),
    "a package registry": re.compile(
        r"py[p]i\.org|python[h]osted|proxy\.golang\.[o]rg|artifact[o]ry|(?:extra-)?index[-_]url",
        re.IGNORECASE,
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\\?n?\s*MII[A-Za-z0-9+/]{40}"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_committed_file_holds(what: str) -> None:
    offences = []
    for path in committed():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        offences += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()[:100]}"
            for n, line in enumerate(lines, 1)
            if FORBIDDEN[what].search(line)
        ]
    assert offences == []


def requirements(lock: Path) -> dict[str, tuple[str, str]]:
    """Name -> pinned version and the rest, hashes among it."""
    by_name = {}
    for block in re.split(r"\n(?=\S)", lock.read_text()):
        if block.strip() and not block.startswith("#"):
            pinned = re.match(r"([a-z0-9._-]+)==([^\s;\\]+)(.*)", block, re.DOTALL)
            assert pinned, f"{lock.name}: {block[:60]!r} is not name==version"
            by_name[pinned[1]] = (pinned[2], pinned[3])
    return by_name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_dependency_has_a_hash_and_no_lock_names_a_place(lock: Path) -> None:
    assert "://" not in lock.read_text()
    assert not re.search(r"^--|^-[a-z] ", lock.read_text(), re.MULTILINE), "an option of pip"
    for name, (_, rest) in requirements(lock).items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest), name


def grouped(project: dict[str, Any], group: str) -> list[str]:
    """What a group of dependencies names, with the groups that it takes in."""
    items = project["dependency-groups"][group]
    named = [item for item in items if isinstance(item, str)]
    taken = [item["include-group"] for item in items if not isinstance(item, str)]
    return named + [item for other in taken for item in grouped(project, other)]


def test_the_locks_agree_with_one_another_and_with_the_project() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run, dev = (requirements(ROOT / "requirements" / f"{name}.lock") for name in ("run", "dev"))
    wanted = {"run": project["project"]["dependencies"], "dev": grouped(project, "dev")}
    for lock, names in ((run, wanted["run"]), (dev, wanted["run"] + wanted["dev"])):
        pins = dict(item.split("==") for item in names)
        assert {name: lock[name.lower()][0] for name in pins} == pins
    assert {name: dev[name][0] for name in run} == {
        name: version for name, (version, _) in run.items()
    }
