"""The link: the connection between a gateway and control.

Knows frames on a socket: a snapshot in slices, numbered deltas with revocations first, grants and returns
of leases. A gap in the numbers asks for a new snapshot. Refuses to know what a key or a price means, and to
trust a network position.
"""
