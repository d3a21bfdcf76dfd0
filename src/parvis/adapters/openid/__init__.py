"""Identity providers that speak OpenID Connect: what they say of themselves, their keys, their tokens.

Knows discovery, key sets, the token endpoint and signatures. Refuses to know what a claim is worth, who anybody is, and
how calls leave this machine: they are handed in, and reach only what the operator allowed.
"""
