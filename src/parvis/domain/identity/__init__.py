"""Identity: who is calling, and what that one may do.

Knows organisations, tenants, principals, roles and permissions; the text form of an API key and how its
secret is compared. A refusal is a value with its reason. Refuses to know where keys are kept, how a request
carried them, and what anything costs.
"""
