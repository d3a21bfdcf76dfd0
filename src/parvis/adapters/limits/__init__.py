"""Limits: rates and places kept by Valkey or Redis instead of the database.

Knows one script, which is `domain.quota.gcra` and `domain.quota.slices` again, in Lua and on the server's clock; the
tests compare them step by step. Refuses to know whose limits they are: buckets come in by name, with their limits.
"""
