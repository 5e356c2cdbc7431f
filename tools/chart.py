"""What follows from the chart, and what the chart follows from, as texts by path: `tools/generate.py` writes and compares them.

From `crds/`, pyproject.toml and the icon: the chart's copy of the CustomResourceDefinition and the
derived lines of Chart.yaml. From the comments in values.yaml: the chart's README.md and the
descriptions in values.schema.json. From the chart, by `helm template`: deploy/manifests/ and the
table of permissions in docs/install.md.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from sandbox.helm import programs

ROOT = Path(__file__).parents[1]
CHART = Path("deploy/helm/aop-operator")
MANIFESTS = Path("deploy/manifests")
RELEASE, NAMESPACE = "aop-operator", "aop-system"
INSTALL = Path("docs/install.md")
RENDERED_FROM = MANIFESTS / ".rendered-from"
VALUES = ROOT / "deploy/helm"
FORMS = {
    "default": "defaults",
    "Roles only": "roles-only",
    "a workload": "workloads",
    "Traefik": "traefik",
    "a Gateway": "gateways",
    "cluster-wide": "cluster-wide",
}
"""The forms in which permissions are granted, each with its file in deploy/helm/ci."""
MANIFEST_HEADER = "# Rendered from deploy/helm/aop-operator by `make generate`; do not edit.\n"
FILES = {
    "extra-objects.yaml": "00-namespace.yaml",
    "crd.yaml": "10-crd.yaml",
    "serviceaccount.yaml": "20-rbac.yaml",
    "rbac.yaml": "20-rbac.yaml",
    "aggregated-roles.yaml": "20-rbac.yaml",
    "deployment.yaml": "30-deployment.yaml",
    "poddisruptionbudget.yaml": "40-poddisruptionbudget.yaml",
}
"""Which manifest each template goes to; an unknown template is an error, so that none is left out
of the manifests unseen."""
OTHER_FORMS = ("cluster-wide", "workloads", "traefik", "gateways")
OTHERWISE = {"20-rbac.yaml", "30-deployment.yaml"}
"""What is another file where other rights are granted, in a folder of its own that `kubectl apply
-f deploy/manifests/` does not enter."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value: its path (`image.tag`), its comment as one line, and its default."""

    path: tuple[str, ...]
    description: str
    default: Any

    @property
    def name(self) -> str:
        """As one writes it after `--set`."""
        return ".".join(self.path)


def by_reading() -> dict[Path, str]:
    """What is made without helm, by path in the repository."""
    (crd,) = sorted((ROOT / "crds").glob("*.yaml"))
    documented = values()
    return {
        CHART / "files/crd.yaml": crd.read_text(),
        CHART / "Chart.yaml": chart_yaml(),
        CHART / "values.schema.json": schema(documented),
        CHART / "README.md": readme(documented),
    }


def by_rendering() -> dict[Path, str]:
    """What `helm template` makes, by path in the repository."""
    return {
        **{MANIFESTS / name: text for name, text in manifests().items()},
        **{
            MANIFESTS / form / name: text
            for form in OTHER_FORMS
            for name, text in manifests(f"--values={VALUES / 'ci' / form}.yaml").items()
            if name in OTHERWISE
        },
        INSTALL: install_guide(),
    }


def seal(root: Path = ROOT) -> str:
    """What tells without helm whether a rendering is due: a line for what it depends on, and one for what came of it.

    The second line is another one when somebody edits a rendered file, adds one or deletes one.
    """
    return f"{sources(root)}\n{standing(root)}\n"


def standing(root: Path) -> str:
    """A digest of what is rendered, as it stands in the repository."""
    files = sorted((root / MANIFESTS).rglob("*.yaml"))
    _, table, _ = _around_permissions((root / INSTALL).read_text())
    return _digest([*(f"{path.relative_to(root)}\n{path.read_text()}" for path in files), table])


def sources(root: Path) -> str:
    """A digest of all that a rendering depends on."""
    own = Path(__file__).read_text()
    files = sorted(
        path
        for path in (root / "deploy/helm").rglob("*")
        if path.is_file() and path.suffix != ".md"
    )
    return _digest([own, *(f"{path.relative_to(root)}\n{path.read_text()}" for path in files)])


def _digest(parts: list[str]) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()


def values(text: str | None = None) -> list[Value]:
    """What values.yaml documents, in its order."""
    text = (ROOT / CHART / "values.yaml").read_text() if text is None else text
    defaults = yaml.safe_load(text)
    return [
        Value(path, description, _at(defaults, path)) for path, description in _documented(text)
    ]


def _documented(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    parents: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if comment_line := re.match(r"\s*# (-- )?(.*)", line):
            begun = [] if comment_line[1] else comment
            comment = [*begun, comment_line[2]] if comment_line[1] or comment else []
        elif key := re.match(r"( *)([A-Za-z][\w]*):", line):
            parents = [*(one for one in parents if one[0] < len(key[1])), (len(key[1]), key[2])]
            if comment:
                yield tuple(name for _, name in parents), " ".join(comment)
            comment = []
        else:
            comment = []


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def schema(documented: list[Value]) -> str:
    """values.schema.json as it is, with the comments of values.yaml as descriptions."""
    tree = json.loads((ROOT / CHART / "values.schema.json").read_text())
    for value in documented:
        at = _at(tree, tuple(step for name in value.path for step in ("properties", name)))
        rest = {
            key: kept for key, kept in at.items() if key not in {"description", "$ref", "allOf"}
        }
        # What stands beside `$ref` counts for nothing in draft 7.
        reference = {"allOf": at["allOf"]} if "allOf" in at else {}
        if "$ref" in at:
            reference = {"allOf": [{"$ref": at["$ref"]}]}
        at.clear()
        at.update({"description": value.description.replace("`", ""), **reference, **rest})
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def readme(documented: list[Value]) -> str:
    """The chart's README.md."""
    chart = yaml.safe_load(chart_yaml())
    rows = [
        f"| `{it.name}` | `{json.dumps(it.default, ensure_ascii=False)}` | {it.description.replace('|', '&#124;')} |"
        for it in documented
    ]
    table = "\n".join(["| Value | Default | Meaning |", "| --- | --- | --- |", *rows])
    kube = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0") + " or newer"
    text = (ROOT / "deploy/helm/README.md.in").read_text()
    filled = (
        text.replace("{description}", chart["description"])
        .replace("{kube_version}", kube)
        .replace("{values}", table)
    )
    return f"<!-- Generated from values.yaml and ../README.md.in by `make generate`; do not edit. -->\n{filled}"


def chart_yaml() -> str:
    """Chart.yaml with the project's version and description, and the icon inside, so that it needs no place on the web."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    icon = base64.b64encode((ROOT / "deploy/helm/icon.svg").read_bytes()).decode()
    derived = {
        "version": project["version"],
        "appVersion": project["version"],
        "description": project["description"],
        "icon": f"data:image/svg+xml;base64,{icon}",
    }
    text = (ROOT / CHART / "Chart.yaml").read_text()
    for key, value in derived.items():
        text, count = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"Chart.yaml has {count} lines that begin with {key}:")
    return text


def render(*arguments: str, helm: Path | None = None) -> str:
    """`helm template` of the chart as it would be written now."""
    with tempfile.TemporaryDirectory(prefix="aop-chart-") as folder:
        chart = Path(folder) / CHART.name
        shutil.copytree(ROOT / CHART, chart)
        (crd,) = sorted((ROOT / "crds").glob("*.yaml"))
        (chart / "files/crd.yaml").write_text(crd.read_text())
        (chart / "Chart.yaml").write_text(chart_yaml())
        program = helm or programs.any_of_them()
        command = [
            str(program),
            "template",
            RELEASE,
            str(chart),
            f"--namespace={NAMESPACE}",
            "--no-hooks",
            *arguments,
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - a program that we found or built
    return done.stdout


def manifests(*arguments: str, helm: Path | None = None) -> dict[str, str]:
    """deploy/manifests/ by file name: the chart with its defaults, the namespaces before it, and no label that says Helm manages it."""
    by_file: dict[str, list[str]] = {}
    rendered = render(f"--values={VALUES / 'manifests.yaml'}", *arguments, helm=helm)
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        if source := re.match(r"# Source: \S+/templates/(\S+)\n", document):
            # Helm 3 and 4 differ in the empty lines between documents and in nothing else.
            by_file.setdefault(FILES[source[1]], []).append(
                document[source.end() :].strip("\n") + "\n"
            )
    return {
        name: MANIFEST_HEADER + "---\n".join(documents)
        for name, documents in sorted(by_file.items())
    }


def install_guide() -> str:
    """docs/install.md as it is, with the table of permissions between its two marks."""
    before, _, after = _around_permissions((ROOT / INSTALL).read_text())
    return f"{before}{permissions()}\n{after}"


def _around_permissions(guide: str) -> tuple[str, str, str]:
    """What stands before the table of permissions, the table, and what stands after it, with the marks."""
    marked = re.search(r"<!-- permissions.*?-->\n(.*?)<!-- /permissions -->", guide, re.DOTALL)
    if marked is None:
        raise ValueError(f"{INSTALL} has no place for the permissions")
    return guide[: marked.start(1)], marked[1], guide[marked.end(1) :]


def permissions() -> str:
    """Every rule of the chart's roles for the operator, with the comment above it as its reason, and where each form grants it."""
    where: dict[tuple[str, str, str], dict[str, str]] = {}
    for form, values_file in FORMS.items():
        rendered = render(
            f"--values={VALUES / 'ci' / values_file}.yaml", "--show-only=templates/rbac.yaml"
        )
        for kind, comment, rule in _rules(rendered):
            group = f".{rule['apiGroups'][0]}" if rule["apiGroups"][0] else ""
            key = (
                ", ".join(f"{name}{group}" for name in rule["resources"]),
                ", ".join(rule["verbs"]),
                comment,
            )
            where.setdefault(key, {})[form] = "by name" if "resourceNames" in rule else kind
    rows = [
        f"| {what} | {verbs} | {why} | {' | '.join(granted.get(form, '') for form in FORMS)} |"
        for (what, verbs, why), granted in where.items()
    ]
    return "\n".join(
        [
            f"| resource | verbs | why | {' | '.join(FORMS)} |",
            f"| --- | --- | --- |{' --- |' * len(FORMS)}",
            *rows,
        ]
    )


def _rules(rendered: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        kind = re.search(r"^kind: (ClusterRole|Role)$", document, re.MULTILINE)
        if kind is None:
            continue
        for comment, rule in re.findall(r"^  # (.*)\n((?:  [- ] .*\n?)+)", document, re.MULTILINE):
            yield kind[1], comment, yaml.safe_load(rule)[0]
