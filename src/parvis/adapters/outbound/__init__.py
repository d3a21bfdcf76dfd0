"""Calls of the service to other people's machines, over HTTP.

Knows which hosts the operator listed, finds and checks their addresses, and connects to the address that was checked,
not to the name again. Refuses to know what is said: identity providers and webhooks are stories. Only control has it.
"""
