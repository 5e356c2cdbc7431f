"""A container of the image `caddy`: the real program, with the files that its pod mounts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandbox import caddy
from sandbox.processes import Child

CONF = Path("etc/caddy/Caddyfile")


def start(root: Path, address: str, log: Path) -> Child:
    """Run it."""
    return Child(_command("run", root, address), log=log, env=caddy.environment(root))


def reload(root: Path, _child: Child) -> None:
    """As `caddy reload` does."""
    address = (root / "address").read_text()
    command = [*_command("reload", root, address), "--force", "--address", f"unix/{root}/admin"]
    subprocess.run(command, env=caddy.environment(root), capture_output=True, check=True)


def _command(word: str, root: Path, address: str) -> list[str | Path]:
    (root / "address").write_text(address)
    own = root / CONF
    text = own.read_text().replace("/etc/caddy/", f"{own.parent}/")
    settings = f"default_bind {address}\nadmin unix/{root}/admin\npersist_config off\n"
    # Beside the user's own, so that what is named without a folder is found as in the image.
    (own.parent / "sandbox").write_text(text.replace("{\n", f"{{\n{settings}", 1))
    return [caddy.find(), word, "--config", own.parent / "sandbox", "--adapter", "caddyfile"]
