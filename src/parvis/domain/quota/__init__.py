"""Quota: what one may still use.

Knows limits, the worst case of a request, and the life of a hold: taken from a lease that was paid for
beforehand, then settled for what was delivered or voided. An overrun is impossible by arithmetic, not by
haste. Refuses to know prices' origin, databases and clocks: amounts and instants come in as whole numbers.
"""
