"""Hostile requests: those that two readers could understand differently, those that hurt engines, and plain noise.

Knows how to make them, how RFC 9112 reads them at its strictest, and how to stand real proxies before the service.
Refuses to know how Parvis reads: its answers are compared with the strict reading, never with its own code.
"""
