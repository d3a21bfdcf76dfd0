"""The operator's listener: administration, health and metrics, on loopback unless told otherwise.

Knows the operator's verbs as HTTP, and checks the operator's token, `Host` and `Origin` on each of them: a
position in the network is never an identity. Refuses to know how a verb is carried out (a story does it)
and the other listeners.
"""
