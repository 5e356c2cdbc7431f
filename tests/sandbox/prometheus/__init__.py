"""A real Prometheus: its linter and its tests of rules (`promtool`), and the server itself.

From the bottom: `programs` (where they come from), `promtool` (what it says of an exposition, of
rules, and of tests of rules), `server` (one that reads an operator's metrics).
"""
