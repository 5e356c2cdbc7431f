"""What every origin kind must keep: a new driver is done when this passes.

`grounds` lists what is tried: every kind of the registry and one that exists only here
(`in_memory`). Each brings a `ground.Ground`; nothing else in this folder knows a kind by its name.
`test_promises` is pure, `test_damage` too; `test_behaviour` asks the real server, and `test_keeper`
runs the rest of the operator with a kind that can do what ingress-nginx cannot.
"""
