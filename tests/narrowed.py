"""What may be of several kinds, as the kind that a test expects; where it is another one, the test fails and shows it."""

from __future__ import annotations

from aop.errors import Reason
from aop.probe import Answer, Failure
from aop.steps import Block, Publish, Step, Wait
from aop.terms import Claim


def published(step: Step) -> Claim:
    """The claim that the step publishes, for whichever origin."""
    assert isinstance(step, Publish), step
    return step.claim


def waiting(step: Step) -> Reason:
    """What the step waits for."""
    assert isinstance(step, Wait), step
    return step.reason


def blocked(step: Step) -> Reason:
    """What blocks the object."""
    assert isinstance(step, Block), step
    return step.reason


def answered(asked: Answer | Failure) -> Answer:
    """The answer that came."""
    assert isinstance(asked, Answer), asked
    return asked


def failed(asked: Answer | Failure) -> Failure:
    """Why no answer came."""
    assert isinstance(asked, Failure), asked
    return asked
