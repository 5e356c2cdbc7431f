"""Everything that a version consists of but the image, into one folder: `make dist`.

The same steps make a rehearsal and the release itself. Only where it is published differs, and that
is told: `tools/release.py FOLDER --archives URL --image NAME [--image-digest sha256:...]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from hashlib import sha256
from pathlib import Path

import plugin

from sandbox.helm import programs

ROOT = plugin.ROOT
CHART = ROOT / "deploy/helm/aop-operator"
BIN = Path(sys.executable).parent
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def main(arguments: list[str]) -> int:
    """Make all of it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--archives", help="where the archives will be; default: the folder itself")
    parser.add_argument("--image", default="aop-operator", help="where the image is, without tag")
    parser.add_argument("--image-digest", default="", help="the digest that it has there")
    options = parser.parse_args(arguments)
    out: Path = options.folder.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    epoch = committed_at()
    try:
        wheel = built(out, epoch)
        bill(out)
        chart(out, options.image, options.image_digest)
        manifests(out, options.image, options.image_digest)
        made = plugin.archives(wheel, out, epoch)
        url = options.archives or out.as_uri()
        (out / "aop.yaml").write_text(plugin.manifest(made, url))
    except (plugin.PluginError, programs.HelmError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: {error.cmd[0]} failed: {error.stderr}", file=sys.stderr)
        return 1
    sums(out)
    print((out / "SHA256SUMS").read_text(), end="")
    return 0


def committed_at() -> int:
    """The time of the commit, in seconds: what is made is dated by it, so that two builds are alike."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return int(epoch or run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))


def built(out: Path, epoch: int) -> Path:
    """The wheel and the source distribution; returns the wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
        run(str(BIN / "hatchling"), "build", "-d", scratch)
        for path in Path(scratch).iterdir():
            shutil.move(path, out)
    (wheel,) = out.glob("*.whl")
    return wheel


def bill(out: Path) -> None:
    """The bill of materials (CycloneDX): each locked library, with its hashes."""
    run(
        *(str(BIN / "cyclonedx-py"), "requirements", str(ROOT / "requirements/run.lock")),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--short-PURLs"),
        *("--output-file", str(out / f"aop-operator-{VERSION}.cdx.json")),
    )


def chart(out: Path, image: str, digest: str) -> None:
    """The chart, with the image's place as a default, so that nobody has to say it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(CHART, Path(scratch) / CHART.name)
        values = (copy / "values.yaml").read_text()
        values = replaced(values, "  repository: aop-operator\n", f"  repository: {image}\n")
        if digest:
            values = replaced(values, '  digest: ""\n', f"  digest: {digest}\n")
        (copy / "values.yaml").write_text(values)
        helm = programs.any_of_them(say=lambda _: None)
        run(str(helm), "package", str(copy), "--destination", str(out))


def manifests(out: Path, image: str, digest: str) -> None:
    """What `kubectl apply` takes, in one file."""
    files = sorted((ROOT / "deploy/manifests").glob("*.yaml"))
    text = "---\n".join(path.read_text() for path in files)
    name = f"{image}@{digest}" if digest else f"{image}:{VERSION}"
    text = replaced(text, f'image: "aop-operator:{VERSION}"', f'image: "{name}"')
    (out / f"aop-operator-{VERSION}.yaml").write_text(text)


def replaced(text: str, before: str, after: str) -> str:
    """`text` with the one place changed. Raises PluginError if there is none."""
    if text.count(before) != 1:
        raise plugin.PluginError(f"{before.strip()!r} stands {text.count(before)} times, not once")
    return text.replace(before, after)


def sums(out: Path) -> None:
    """The digest of every file, as `sha256sum --check` reads it."""
    lines = (
        f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(out.iterdir())
    )
    (out / "SHA256SUMS").write_text("".join(list(lines)))


def run(*command: str) -> str:
    """What a program prints; raises CalledProcessError with its words."""
    return subprocess.run(  # noqa: S603 - our own commands
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
