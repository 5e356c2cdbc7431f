"""`kubectl aop` beside a scene: its entry point as its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sandbox.scene import Scene

WITHIN_S = 60.0


def aop(
    scene: Scene, *arguments: str | Path, kubeconfig: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """To its end, by an admin unless another kubeconfig is given; `settings` are variables of the shell besides."""
    environment = {
        **scene.sandbox.operator_environment(**settings),
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig or scene.plane.admin_kubeconfig),
    }
    return subprocess.run(
        [sys.executable, "-m", "aop.kubectl", *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
