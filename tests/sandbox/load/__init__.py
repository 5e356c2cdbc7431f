"""Visitors: a steady stream of requests through every edge location, each answer compared with what the backend must have said.

Open loop: a request is sent when its time has come, however slow the others are, so that an outage
cannot hide by slowing down whoever measures it. Mostly GETs; POSTs, which nobody may send a second
time, where a plan asks for them, counted apart. `LoadThread` is for the demo and for tests that
block; `Load` is the same inside an event loop.
"""

from sandbox.load.generator import Load
from sandbox.load.plan import Destination, LoadPlan
from sandbox.load.report import FailedRequest, Report, Tally
from sandbox.load.thread import LoadThread

__all__ = ["Destination", "FailedRequest", "Load", "LoadPlan", "LoadThread", "Report", "Tally"]
