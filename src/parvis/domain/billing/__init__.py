"""Billing: what usage costs, exactly.

Knows price lists, the one pricing function, and transfers between accounts. Money is a whole number of
pico-euro; a difference that cannot be known is written off by name, never billed. Refuses floats (a test
reads the source), and refuses to know requests, engines and databases.
"""
