"""Device address ⇄ endpoint ⇄ server: import, templates, checks."""
