"""Audit: what is written down of every privileged act, before it happens.

Knows the entry and what may stand in it: names, ids and verbs. Refuses to know secrets, contents of requests, and where
entries are kept.
"""
