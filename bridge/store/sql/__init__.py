"""What stores on an SQL database share: the statements, and the threads that carry them out.

Statements are written once, in the words of SQLite; another database translates the few words in which it differs.
"""
