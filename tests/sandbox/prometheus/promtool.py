"""What `promtool` says of an exposition, of rules, and of tests of rules."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.prometheus import programs
from sandbox.prometheus.programs import Programs


def found_or_left_out(environ: Mapping[str, str] = os.environ) -> Programs:
    """Prometheus' programs; where they cannot be had the test is left out, unless nothing may be."""
    try:
        return programs.find(environ=environ, say=lambda _: None)
    except programs.PrometheusError as error:
        if programs.is_required(environ):
            raise
        pytest.skip(f"{error} ({programs.REQUIRED}=1 never leaves this out)")


def complaints(promtool: Path, *arguments: str, given: bytes = b"") -> str:
    """What a check says; empty when it finds nothing."""
    done = subprocess.run(
        [promtool, *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    output = done.stdout.decode()
    return output if done.returncode else ""
