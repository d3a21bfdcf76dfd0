"""The store: tables, transactions and migrations, on SQLite and PostgreSQL through one code path.

Knows SQL, and carries out each intent as one atomic transaction, a plain function of a connection and
values. The differences between the two databases are one file. Refuses to be opened by a gateway, and to
know HTTP and engines.
"""
