"""Certificates: a small authority, and what it signs.

Knows X.509. Makes values; files, and who is believed why, are the matter of those who call it.
"""
