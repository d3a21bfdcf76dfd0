"""The vault: sealing a value so that only its place can open it.

Knows keys by purpose and version, and AES-256-GCM whose associated data names tenant, table, row, column
and version: a sealed value that was moved does not open. Refuses to know where the root key lives and what
is being sealed.
"""
