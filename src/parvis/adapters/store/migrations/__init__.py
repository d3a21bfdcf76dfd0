"""The steps that lead from an empty database to this release's tables.

Each step is written out and never changed once released, and can be taken while the previous release still
serves. A step knows tables and columns as they were in its time; it refuses to import the tables of today.
"""
