"""The journal: a gateway's append-only record of what it did, and the reader of that record.

Knows frames, sequence numbers, checksums, segments, locks and `fdatasync`; promises that a record is
durable when its writer says so, and that a torn end is found and cut. Refuses to know what a record means
and what it costs.
"""
