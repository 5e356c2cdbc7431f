"""The Cloudflare double: an API and an edge that hold the same state, started as one process of their own.

Tests and the sandbox start it with `launcher.CloudflareDouble`. What it imitates, and how sure that
is, stands in docs/facts/cloudflare.md; where the real behaviour is not known, there is a knob and
tests can run both answers.
"""
