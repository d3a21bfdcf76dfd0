"""Invoices as files: the XML that programs read (EN 16931, CII syntax) and the PDF that people read, one in the other.

Knows how a Factur-X file is made (profile EN 16931, PDF/A-3b). Refuses to know what is on an invoice and why: every
amount in it was worked out before, and is printed as it is.
"""
