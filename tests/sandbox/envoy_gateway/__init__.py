"""A real Envoy Gateway: its control plane on the API server of the sandbox, in a network and a root of its own.

From the bottom: `programs` (where it comes from), `confined` (how it and its proxies are run),
`controller` (the control plane), `objects` (what it needs in a cluster).
"""
