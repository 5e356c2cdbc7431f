"""Where Helm comes from: the order, and that nothing half-made or too old is ever used.

`go` is a script that "compiles" scripts.
"""

import threading
from pathlib import Path

import pytest

from sandbox.helm import programs
from sandbox.helm.programs import HelmError


class HelmLines(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def helm(folder: Path, version: str, name: str = "helm") -> Path:
    return script(folder / name, f"echo {version}")


def go(
    folder: Path,
    builds: str = "v3.21.4",
    *,
    version: str = "go1.26.8",
    packages: int = 0,
    fails: bool = False,
) -> Path:
    """A compiler whose product says that it is version `builds`."""
    end = (
        "echo 'undefined: main' >&2; exit 1"
        if fails
        else f"""printf '#!/bin/sh\\necho {builds}\\n' > "$out"; chmod +x "$out\""""
    )
    lines = [
        f'[ "$1" = env ] && {{ echo {version}; exit 0; }}',
        'for word; do case "$word" in -o=*) out=${word#-o=};; esac; done',
        f"echo . >> {folder / 'runs'}",
        f'i=0; while [ $i -lt {packages} ]; do echo "k8s.io/some/package" >&2; i=$((i+1)); done',
        end,
    ]
    return script(folder / "go", "\n".join(lines))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Nothing on PATH but the shell's own tools."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for major in programs.MAJORS:
        folder = tmp_path / "tools" / f"helm{major}"
        folder.mkdir(parents=True)
        version = {3: "3.21.4", 4: "4.2.4"}[major]
        (folder / "go.mod").write_text(
            f"module example.com/x\n\ngo 1.26.0\n\nrequire helm.sh/helm/v{major} v{version}\nrequire k8s.io/client-go v0.36.2\n"
        )
        (folder / "go.sum").write_text("")
    return tmp_path / "tools"


def test_the_machines_own_helm_is_taken_without_a_build(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    own = helm(tmp_path / "bin", "v3.14.0")
    assert programs.find(3, environ=environ, tools=tools, say=HelmLines()) == own
    assert not programs.cache_root(environ).exists()


def test_a_machine_may_have_both_majors_by_name(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    helm(tmp_path / "bin", "v4.1.0")
    three = helm(tmp_path / "bin", "v3.18.0", "helm3")
    assert programs.find(3, environ=environ, tools=tools, say=HelmLines()) == three
    assert programs.find(4, environ=environ, tools=tools, say=HelmLines()).name == "helm"


@pytest.mark.parametrize("version", ["v3.13.9", "v2.17.0", "v4.0.0", "words"])
def test_a_helm_that_is_too_old_or_of_another_major_is_passed_over(
    version: str, environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    own = helm(tmp_path / "bin", version)
    go(tmp_path / "bin")
    assert programs.find(3, environ=environ, tools=tools, say=HelmLines()) != own


def test_it_is_built_once_with_progress_and_then_comes_from_the_cache(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    go(tmp_path / "bin", packages=200)
    lines = HelmLines()
    built = programs.find(3, environ=environ, tools=tools, say=lines)
    assert programs.version_of(built) == (3, 21, 4)
    assert sum(line.startswith("  ") for line in lines) == 2
    assert programs.find(3, environ=environ, tools=tools, say=HelmLines()) == built
    assert (tmp_path / "bin" / "runs").read_text().count(".") == 1


def test_two_that_want_it_at_once_build_it_once(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    go(tmp_path / "bin", packages=2000)
    programs_built: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: programs_built.append(
                programs.find(3, environ=environ, tools=tools, say=HelmLines())
            )
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(programs_built) == 3
    assert len(set(programs_built)) == 1
    assert (tmp_path / "bin" / "runs").read_text().count(".") == 1


def test_another_checksum_is_another_folder(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    go(tmp_path / "bin")
    before = programs.find(3, environ=environ, tools=tools, say=HelmLines())
    (tools / "helm3" / "go.sum").write_text("changed")
    assert programs.find(3, environ=environ, tools=tools, say=HelmLines()) != before


@pytest.mark.parametrize(
    ("compiler", "complaint"),
    [
        ({"fails": True}, "undefined: main"),
        ({"builds": "v4.2.4"}, "is not Helm 3"),
        ({"version": "go1.25.9"}, "older than 1.26"),
    ],
)
def test_a_build_that_goes_wrong_leaves_nothing_and_says_why(
    compiler: dict[str, str], complaint: str, environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    go(tmp_path / "bin", **compiler)  # type: ignore[arg-type]
    with pytest.raises(HelmError, match=complaint):
        programs.find(3, environ=environ, tools=tools, say=HelmLines())
    assert [path.name for path in programs.cache_root(environ).iterdir()] == [".lock3"]


def test_without_helm_and_go_the_message_says_what_to_install(
    environ: dict[str, str], tools: Path
) -> None:
    with pytest.raises(
        HelmError, match=r"Put Helm 3\.14 or newer, or Go 1\.26\.0 or newer, on PATH"
    ):
        programs.find(3, environ={**environ, "PATH": "/nonexistent"}, tools=tools, say=HelmLines())


def test_rendering_takes_whatever_is_there_before_it_builds(
    environ: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    own = helm(tmp_path / "bin", "v3.20.0")
    assert programs.any_of_them(environ=environ, tools=tools, say=HelmLines()) == own
