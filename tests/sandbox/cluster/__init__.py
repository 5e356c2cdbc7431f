"""What a cluster has besides its API server, as far as a workload's server needs it: a node, and the way to its pods.

Pods are made by the real controllers of Kubernetes (`ControlPlane(workloads=True)`). A node that
runs them, and a Service that leads to them, are stood in for here.
"""
