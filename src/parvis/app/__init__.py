"""The composition roots, one module a process: supervisor, gateway, control; and what the supervisor is made of.

Knows every class by name, because this is the only place that chooses between them: which journal, which
store, which engine stands behind each port. Knows the machine settings and the order in which a process
starts, changes hands and drains. Refuses to hold a rule: what is decided here is who talks to whom, never
what they say. Nothing imports it but the cli.
"""
