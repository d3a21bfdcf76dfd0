"""What the console and operator listeners have in common: their front door, as a FastAPI application.

Knows the order in which a request passes: its id, its `Host` and `Origin`, its matched route, the credential
and permission that the route names, and only then its body; and the one shape of errors. Refuses to know any
route of either listener. The inference listener never imports it.
"""
