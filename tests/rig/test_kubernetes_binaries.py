"""Where the Kubernetes programs come from: the order, the pinned hash, and that nothing half-made is ever used.

The archive comes from a loopback double of the place where envtest is published; `go` is a script
that "compiles" scripts.
"""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox.kubernetes import binaries, build
from sandbox.kubernetes.binaries import BinariesError, Source
from sandbox.kubernetes.download import Archive
from sandbox.waiting import until

WITHOUT_KCM = ("etcd", "kube-apiserver", "kubectl")
ALL = (*WITHOUT_KCM, "kube-controller-manager")
PROGRAM = "#!/bin/sh\nexit 0\n"


class Publisher:
    """Serves one archive over HTTP on loopback, counts how often it is asked, and may break off in the middle."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.breaks_off = False
        self.asked = 0
        publisher = self

        class ArchiveHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/envtest.tar.gz")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(publisher.body)))
                self.end_headers()
                self.wfile.write(
                    publisher.body[: len(publisher.body) // 2]
                    if publisher.breaks_off
                    else publisher.body
                )

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), ArchiveHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/envtest.tar.gz"

    @property
    def archive(self) -> Archive:
        return Archive("1.36.2", self.url, hashlib.sha512(self.body).hexdigest())

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def packed(program: str = PROGRAM, names: tuple[str, ...] = WITHOUT_KCM) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size, member.mode = len(program), 0o755
            archive.addfile(member, io.BytesIO(program.encode()))
    return buffer.getvalue()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Publisher(packed())
    yield server
    server.close()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for module, required in (
        ("kube", "k8s.io/kubernetes v1.36.4"),
        ("etcd", "go.etcd.io/etcd/server/v3 v3.6.14"),
    ):
        folder = tmp_path / "tools" / module
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(
            f"module example.com/{module}\n\ngo 1.26.0\n\nrequire {required}\n"
        )
        (folder / "go.sum").write_text("")
    return tmp_path / "tools"


def go(folder: Path, *, version: str = "go1.26.8", before: str = "", packages: int = 0) -> str:
    """Put a `go` into a folder, and return the folder as a PATH."""
    script = f"""#!/bin/sh
[ "$1" = env ] && {{ echo {version}; exit 0; }}
for word; do case "$word" in -o=*) out=${{word#-o=}};; esac; done
{before}
i=0; while [ $i -lt {packages} ]; do echo "k8s.io/some/package" >&2; i=$((i+1)); done
make() {{ printf '#!/bin/sh\\nexit 0\\n' > "$1"; chmod +x "$1"; }}
case "$out" in
    */) for name in kube-apiserver kube-controller-manager kubectl; do make "$out$name"; done;;
    *) make "$out";;
esac
"""
    folder.mkdir(exist_ok=True)
    (folder / "go").write_text(script)
    (folder / "go").chmod(0o755)
    return str(folder)


@pytest.fixture
def builds(tools: Path, tmp_path: Path) -> Source:
    """No archive to download, and a `go` that can build."""
    return Source(None, tools, go(tmp_path / "go"))


@pytest.fixture
def downloads(publisher: Publisher, tools: Path, tmp_path: Path) -> Source:
    """An archive to download, and no `go`."""
    return Source(publisher.archive, tools, str(tmp_path / "nothing"))


class BuildLines(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def install(folder: Path, names: tuple[str, ...] = ALL) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    return folder


def in_cache(environ: dict[str, str]) -> list[str]:
    return sorted(
        path.name for path in binaries.cache_root(environ).iterdir() if path.name != ".lock"
    )


def test_kubebuilder_assets_win_and_nobody_else_is_asked(
    environ: dict[str, str], downloads: Source, publisher: Publisher, tmp_path: Path
) -> None:
    assets = install(tmp_path / "assets", WITHOUT_KCM)
    lines = BuildLines()
    programs = binaries.find(
        environ=environ | {"KUBEBUILDER_ASSETS": str(assets)}, source=downloads, say=lines
    )
    assert programs.kube_apiserver == assets / "kube-apiserver"
    assert programs.kube_controller_manager is None
    assert lines == [f"KUBEBUILDER_ASSETS ({assets})", binaries.WITHOUT_CONTROLLER_MANAGER]
    assert publisher.asked == 0


@pytest.mark.parametrize("missing", WITHOUT_KCM)
def test_incomplete_kubebuilder_assets_are_an_error_and_not_replaced(
    environ: dict[str, str], builds: Source, tmp_path: Path, missing: str
) -> None:
    assets = install(tmp_path / "assets", tuple(name for name in ALL if name != missing))
    with pytest.raises(BinariesError, match="unset it"):
        binaries.find(
            environ=environ | {"KUBEBUILDER_ASSETS": str(assets)}, source=builds, say=BuildLines()
        )


def test_kubebuilder_assets_without_controller_manager_are_an_error_where_one_is_required(
    environ: dict[str, str], builds: Source, tmp_path: Path
) -> None:
    assets = install(tmp_path / "assets", WITHOUT_KCM)
    with pytest.raises(BinariesError, match="kube-controller-manager"):
        binaries.find(
            environ=environ | {"KUBEBUILDER_ASSETS": str(assets), "AOP_REQUIRE_KCM": "1"},
            source=builds,
            say=BuildLines(),
        )


def test_what_was_downloaded_once_comes_from_the_cache_ever_after(
    environ: dict[str, str], downloads: Source, publisher: Publisher
) -> None:
    first = binaries.find(environ=environ, source=downloads, say=BuildLines())
    second = binaries.find(environ=environ, source=downloads, say=BuildLines())
    assert (first.origin, second.origin) == (
        "envtest archive, downloaded",
        "envtest archive, from the cache",
    )
    assert first.etcd == second.etcd
    assert publisher.asked == 1
    assert in_cache(environ) == [f"1.36.2-{publisher.archive.sha512[:12]}"]


def test_a_download_follows_a_redirect(
    environ: dict[str, str], downloads: Source, publisher: Publisher
) -> None:
    moved = Archive(
        "1.36.2", publisher.url.replace("envtest.tar.gz", "moved"), publisher.archive.sha512
    )
    assert (
        binaries.find(
            environ=environ, source=Source(moved, downloads.tools, ""), say=BuildLines()
        ).origin
        == "envtest archive, downloaded"
    )


def test_an_archive_with_another_hash_is_refused_and_the_build_takes_over(
    environ: dict[str, str], builds: Source, publisher: Publisher
) -> None:
    forged = Archive("1.36.2", publisher.url, "0" * 128)
    lines = BuildLines()
    programs = binaries.find(
        environ=environ, source=Source(forged, builds.tools, builds.go_path), say=lines
    )
    assert programs.origin == "built from Go modules"
    assert any("refused" in line for line in lines)
    assert in_cache(environ) == [f"1.36.4-{build.recipe(builds.tools)}"]


def test_with_a_forged_archive_and_no_go_there_is_nothing_to_run(
    environ: dict[str, str], downloads: Source, publisher: Publisher
) -> None:
    forged = Archive("1.36.2", publisher.url, "0" * 128)
    with pytest.raises(BinariesError, match="there is no `go`"):
        binaries.find(
            environ=environ,
            source=Source(forged, downloads.tools, downloads.go_path),
            say=BuildLines(),
        )
    assert in_cache(environ) == []


def test_a_download_that_breaks_off_leaves_nothing(
    environ: dict[str, str], builds: Source, publisher: Publisher
) -> None:
    publisher.breaks_off = True
    source = Source(publisher.archive, builds.tools, builds.go_path)
    assert (
        binaries.find(environ=environ, source=source, say=BuildLines()).origin
        == "built from Go modules"
    )
    assert in_cache(environ) == [f"1.36.4-{build.recipe(builds.tools)}"]


@pytest.mark.parametrize(
    "body",
    [packed(names=("etcd", "kubectl")), packed(program="#!/bin/sh\nexit 1\n"), b"not an archive"],
    ids=["a program is missing", "a program does not run here", "not an archive"],
)
def test_an_archive_that_is_no_use_is_not_kept(
    environ: dict[str, str], builds: Source, publisher: Publisher, body: bytes
) -> None:
    publisher.body = body
    source = Source(publisher.archive, builds.tools, builds.go_path)
    assert (
        binaries.find(environ=environ, source=source, say=BuildLines()).origin
        == "built from Go modules"
    )
    assert in_cache(environ) == [f"1.36.4-{build.recipe(builds.tools)}"]


def test_where_nothing_can_be_reached_it_is_built(environ: dict[str, str], builds: Source) -> None:
    unreachable = Archive("1.36.2", "http://127.0.0.1:9/envtest.tar.gz", "0" * 128)
    programs = binaries.find(
        environ=environ, source=Source(unreachable, builds.tools, builds.go_path), say=BuildLines()
    )
    assert programs.origin == "built from Go modules"
    assert programs.kube_controller_manager is not None


def test_where_controller_manager_is_required_quick_never_hides_complete(
    environ: dict[str, str], builds: Source, publisher: Publisher
) -> None:
    source = Source(publisher.archive, builds.tools, builds.go_path)
    assert (
        binaries.find(environ=environ, source=source, say=BuildLines()).kube_controller_manager
        is None
    )

    required = binaries.find(
        environ=environ | {"AOP_REQUIRE_KCM": "1"}, source=source, say=BuildLines()
    )
    assert required.origin == "built from Go modules"
    assert required.kube_controller_manager is not None

    # From now on the complete one is there, and nobody has to ask for it.
    assert binaries.find(environ=environ, source=source, say=BuildLines()) == binaries.find(
        environ=environ | {"AOP_REQUIRE_KCM": "1"}, source=source, say=BuildLines()
    )
    assert publisher.asked == 1


def test_a_build_shows_how_long_it_takes_and_how_far_it_is(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    lines = BuildLines()
    step = build.PACKAGES // 20
    binaries.find(
        environ=environ, source=Source(None, tools, go(tmp_path / "go", packages=step)), say=lines
    )
    assert "minutes" in lines[0]
    assert "once" in lines[0]
    # Two modules, one twentieth each.
    assert [line.split("(")[0].strip() for line in lines if line.startswith("  ")] == [
        "5 %",
        "10 %",
    ]


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("go1.25.9", False), ("go1.26", True), ("go1.26.0", True), ("go1.27rc1", True)],
)
def test_a_go_that_is_too_old_is_named_with_what_is_needed(
    environ: dict[str, str], tools: Path, tmp_path: Path, version: str, *, accepted: bool
) -> None:
    source = Source(None, tools, go(tmp_path / "go", version=version))
    if accepted:
        binaries.find(environ=environ, source=source, say=BuildLines())
    else:
        with pytest.raises(
            BinariesError,
            match=r"is go1\.25\.9, older than 1\.26\.0\. Put Go 1\.26\.0 or newer on PATH",
        ):
            binaries.find(environ=environ, source=source, say=BuildLines())


def test_a_build_that_fails_says_why_and_leaves_nothing(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    source = Source(
        None, tools, go(tmp_path / "go", before='echo "main.go:7: undefined: x" >&2; exit 1')
    )
    with pytest.raises(BinariesError, match=r"main\.go:7: undefined: x"):
        binaries.find(environ=environ, source=source, say=BuildLines())
    assert in_cache(environ) == []


def test_a_build_that_was_killed_is_never_used(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    """Killed with SIGKILL when three of the four programs are there, so that nobody could clean up."""
    hangs = go(
        tmp_path / "hangs",
        before='case "$out" in */);; *) echo started > '
        + str(tmp_path / "started")
        + "; sleep 60;; esac",
    )
    code = (
        "from pathlib import Path; from sandbox.kubernetes import binaries\n"
        f"binaries.find(environ={environ!r}, source=binaries.Source(None, Path({str(tools)!r}), {hangs!r}))"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(
            (tmp_path / "started").exists,
            within_s=20,
            describe="the build to be in its second half",
        )
    finally:
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    (left,) = in_cache(environ)
    assert ".tmp-" in left

    programs = binaries.find(
        environ=environ, source=Source(None, tools, go(tmp_path / "go")), say=BuildLines()
    )
    assert programs.origin == "built from Go modules"
    assert in_cache(environ) == [f"1.36.4-{build.recipe(tools)}"]


@pytest.mark.parametrize("program", ALL[:3])
def test_a_cache_from_which_a_program_was_taken_is_filled_again(
    environ: dict[str, str], builds: Source, program: str
) -> None:
    folder = binaries.find(environ=environ, source=builds, say=BuildLines()).etcd.parent
    (folder / program).unlink()
    assert (
        binaries.find(environ=environ, source=builds, say=BuildLines()).origin
        == "built from Go modules"
    )
    assert (folder / program).exists()


def test_another_recipe_is_another_place_in_the_cache(
    environ: dict[str, str], builds: Source, tools: Path
) -> None:
    first = binaries.find(environ=environ, source=builds, say=BuildLines())
    (tools / "etcd" / "go.sum").write_text("example.com/changed v1.0.0 h1:x\n")
    second = binaries.find(environ=environ, source=builds, say=BuildLines())
    assert second.origin == "built from Go modules"
    assert first.etcd.parent != second.etcd.parent


def test_those_who_come_at_once_get_it_once(
    environ: dict[str, str], downloads: Source, publisher: Publisher
) -> None:
    programs: list[binaries.Binaries] = []
    threads = [
        threading.Thread(
            target=lambda: programs.append(
                binaries.find(environ=environ, source=downloads, say=BuildLines())
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert publisher.asked == 1
    assert len({one.etcd for one in programs}) == 1
    assert len(programs) == 8


def test_this_repo_pins_an_archive_and_a_build_for_this_machine() -> None:
    source = Source.pinned()
    assert source.archive is not None
    assert len(bytes.fromhex(source.archive.sha512)) == 64
    assert source.archive.version in source.archive.url
    assert build.version().rpartition(".")[0] == source.archive.version.rpartition(".")[0], (
        "both are to be of one minor version"
    )
