"""Helm for the chart's tests and for `make generate`: `programs` finds or builds it, `releases` drives it.

`make demo` and `make sandbox` never come here: they install `deploy/manifests/`, which are rendered
and committed. `python -m sandbox.helm` gets both majors, with progress, and says where they are.
"""
