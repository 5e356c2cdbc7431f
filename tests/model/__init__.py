"""The state space: the real rules in every world that they can meet.

`python -m model` (`make state-space`) walks every reachable world of an abstract model of
Cloudflare, its edge, the replicas, the cluster and the operator's own process, with the real
`aop.plan.next_step` deciding in each of them, and checks every promise (docs/promises.md) in each.
`docs/state-space.md` tells what is proven, in which worlds, and what is not in the model.
"""
