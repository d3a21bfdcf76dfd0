"""Ray: engine servers that somebody's Ray cluster places, watches and replaces.

Knows Ray Serve's applications and actors, how a replica registers, and the door with TLS before each engine server.
`cluster` alone imports Ray, and only its driver imports `cluster`: nothing that serves a request does. Refuses to know
who may ask an engine and what: requests never pass through Ray, gateways call the doors.
"""
