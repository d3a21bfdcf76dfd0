"""The fleet: nodes, engines, deployments and replicas, and the choice among them.

Knows routing as three pure steps: filter those that can serve, score each from 0 to 1, pick one; and when a
replica is left alone for a while. Events come in, effects go out. Refuses to know sockets, processes, users
and money.
"""
