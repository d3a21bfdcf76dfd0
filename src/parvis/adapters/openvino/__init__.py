"""An engine of our own around OpenVINO's batching: one process a replica, spoken to over loopback like the others.

Knows: weights and their conversion, steps of a batch, tokens and their bytes, the OpenAI protocol as the gateway speaks
it to engines. Refuses to know: tenants (only their salts), keys but its own, prices, and every other adapter.

OpenVINO is an extra of the package: nothing outside the process of `child` imports what is in here but `grammar`.
"""
