"""`python -m sandbox` (`make sandbox`): all parts but the operator, up until interrupted, for a person with two terminals."""

import signal
import sys
import time
from pathlib import Path

from sandbox.composition import MANIFESTS, ROOT, Layout, Sandbox

ENVIRONMENT = ROOT / ".sandbox" / "env"
NEXT = """\
ready. In another terminal, in this folder:

  . .sandbox/env
  kubectl create secret generic cloudflare --namespace edge --from-literal=api-token="$CLOUDFLARE_API_TOKEN"
  aop-operator run

and in a third one:

  . .sandbox/env
  kubectl apply -f deploy/examples/
  kubectl get aop --namespace edge --watch

docs/sandbox.md has the rest. Ctrl-C here ends everything."""


def main() -> int:
    """Exit status 0 after SIGINT or SIGTERM."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _interrupt)
    began_s = time.monotonic()
    sandbox = Sandbox(Layout(manifests=MANIFESTS))
    try:
        print(
            "starting Kubernetes, two replicas of ingress-nginx, and Cloudflare's double (10 seconds)",
            flush=True,
        )
        with sandbox:
            sandbox.write_environment(ENVIRONMENT)
            print(f"[{time.monotonic() - began_s:.0f} s] {NEXT}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("everything is stopped", flush=True)
        return 0
    finally:
        _forget(ENVIRONMENT)


def _interrupt(*_: object) -> None:
    # A second signal must not interrupt the cleaning up.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    raise KeyboardInterrupt


def _forget(file: Path) -> None:
    """An environment that leads nowhere is worse than none."""
    file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
