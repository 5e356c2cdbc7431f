"""A real Kubernetes API without a cluster: etcd, kube-apiserver and, where it is to be had, kube-controller-manager, on loopback.

`binaries.find` gets the programs, `plane.ControlPlane` runs them, `proxy.FaultProxy` stands before
any HTTP API and disturbs it. `python -m sandbox.kubernetes` gets the programs and says where they
are: run it before tests, since the first time it may have to build.
"""
