"""`/v1/organization/...`: administration in OpenAI's shapes, so that the admin client of the official SDK works.

Knows which of our things stands for which of theirs: organisation, project, user, key, personal token, entry of
the record. Refuses to know rules: what may be done is decided by the flows that it calls, as for our own routes.
"""
