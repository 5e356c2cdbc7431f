"""The chart's alert rules for a test that has no hours: the same expressions, with seconds for minutes.

What is measured in days, and what a clock may be off, stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[3] / "deploy" / "helm" / "aop-operator" / "files" / "alerts.yaml"
FOR = "3s"
SECONDS_OF_A_MINUTE, AN_HOUR = 2, "180s"
"""What has to happen several times within the hour needs time to happen."""


def rules() -> dict[str, Any]:
    """Every rule; what had to last for minutes or an hour lasts for three seconds."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = hastened(rule["expr"])
            if "for" in rule:
                rule["for"] = FOR
    return document


def hastened(expr: str) -> str:
    """An expression with its ranges and its limit of a proof's age."""
    minutes = re.sub(r"\[(\d+)m\]", lambda it: f"[{int(it[1]) * SECONDS_OF_A_MINUTE}s]", expr)
    seconds = minutes.replace("[1h]", f"[{AN_HOUR}]")
    return seconds.replace("time() - 600", "time() - 60").replace("offset 1d", "offset 1m")
