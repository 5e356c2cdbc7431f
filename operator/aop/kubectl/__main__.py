"""The entry point of `kubectl aop`: the command line, and how a command ends.

`argparse` does all that these few commands need, so there is no further library.

Exit status: 0 when done, 1 if it could not be done or is not so, 2 for a wrong command line, 3 if
rights are missing to see all of it, 130 when interrupted. A person sees no traceback;
KUBECTL_AOP_DEBUG=1 shows it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from aop import __version__
from aop.cluster import ClusterError
from aop.kubectl import commands, looks
from aop.kubectl.changes import ChangeRefused
from aop.kubectl.objects import CommandFailed
from aop.kubectl.terminal import FAILED, INTERRUPTED, say
from aop.kubectl.wording import paragraph

CarryOut = Callable[[argparse.Namespace], int]
"""Does what was asked for; returns the exit status."""
Command = Callable[[CarryOut, str], argparse.ArgumentParser]
"""Adds a command, by what carries it out and what it is for."""
DEBUG = "KUBECTL_AOP_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `kubectl-aop`; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.carry_out(options))
    except (CommandFailed, ChangeRefused, ClusterError) as error:
        complain(f"{error}.")
    except BrokenPipeError:
        # Nobody reads any more (`| head`); what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        complain(
            f"a bug in kubectl-aop {__version__}: {type(error).__name__}. Please report it, with what {DEBUG}=1 shows."
        )
    return FAILED


def complain(text: str) -> None:
    """Print why the command failed."""
    say("\n".join(paragraph(f"kubectl aop: {text}")))


def parser() -> argparse.ArgumentParser:
    """The command line; the common flags may also come before the command, as in kubectl."""
    common = _common()
    root = argparse.ArgumentParser(
        prog="kubectl aop",
        description="AuthenticatedOriginPulls: what they do, what they wait for, and what to do about it.",
        parents=[common],
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"kubectl-aop {__version__}")
    group = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(carry_out: CarryOut, summary: str) -> argparse.ArgumentParser:
        sentence = f"{summary[0].upper()}{summary[1:]}."
        added = group.add_parser(
            carry_out.__name__,
            help=summary,
            description=sentence,
            parents=[common],
            allow_abbrev=False,
        )
        added.set_defaults(carry_out=carry_out)
        return added

    _add_questions(command)
    _add_looks(command)
    _add_changes(command)
    return root


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        help="the namespace; by default that of the context",
    )
    common.add_argument("--context", metavar="NAME", help="the context of the kubeconfig to use")
    common.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig file to use")
    return common


def _add_questions(command: Command) -> None:
    one = command(commands.explain, "what the reason of a condition means, and what to do about it")
    one.add_argument(
        "reason", nargs="?", metavar="REASON", help="a reason; without it all are listed"
    )
    one = command(commands.status, "how objects are, what they wait for, and what to do about it")
    one.add_argument(
        "name", nargs="?", metavar="NAME", help="one object; without it all of the namespace"
    )
    one.add_argument(
        "-A", "--all-namespaces", action="store_true", help="the objects of all namespaces"
    )
    one.add_argument("-o", "--output", choices=("json", "yaml"), help="for programs")
    one.add_argument("-w", "--watch", action="store_true", help="show it again when it changes")


def _add_looks(command: Command) -> None:
    plan = command(looks.plan, "what the operator would do next, and why; nothing is written")
    preflight = command(
        looks.preflight, "what stands in the way or would break, before anything is changed"
    )
    for one in (preflight, plan):
        one.add_argument("name", nargs="?", metavar="NAME", help="an object of the cluster")
        one.add_argument(
            "-f",
            "--filename",
            metavar="FILE",
            help="as if this were applied, also before the operator is installed; - reads the input",
        )
        one.add_argument("-o", "--output", choices=("json", "yaml"), help="for programs")
    one = command(looks.prove, "ask replicas and edge now, and show what they answer")
    one.add_argument("name", metavar="NAME", help="the object")


def _add_changes(command: Command) -> None:
    one = command(commands.rotate, "have a new key pair made now")
    one.add_argument("name", metavar="NAME", help="the object")
    one = command(commands.relax, "the emergency exit: have the origins refuse nobody")
    one.add_argument("name", metavar="NAME", help="the object")
    one.add_argument("-y", "--yes", action="store_true", help="do not ask first")


if __name__ == "__main__":
    sys.exit(main())
