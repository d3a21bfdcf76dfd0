"""The keyring: where the root key lives.

Knows how to fetch and create a root key in a file readable by its owner alone; a hardware module or a key
service would stand beside it. Refuses to know what the key seals, and never shows it: a key travels as a
`Secret`.
"""
