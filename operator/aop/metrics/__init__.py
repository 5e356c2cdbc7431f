"""What Prometheus may read.

From the bottom: `declared` (every metric as data, from which its documentation is made), `figures`
(numbers as they are passed on), `registry` (what is counted and shown).
"""

from aop.metrics.figures import (
    Cause,
    ObjectFigures,
    OriginFigures,
    TokenFigures,
    Undone,
    WaitingFigures,
)
from aop.metrics.registry import MeasuredObject, Metrics

__all__ = [
    "Cause",
    "MeasuredObject",
    "Metrics",
    "ObjectFigures",
    "OriginFigures",
    "TokenFigures",
    "Undone",
    "WaitingFigures",
]
