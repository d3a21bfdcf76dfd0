"""Mail: handed to the operator's server, over TLS.

Knows SMTP and which server the operator set, and connects to an address of it that was checked. Refuses to know what is
said in a mail, and whom it is for. Only control has it.
"""
