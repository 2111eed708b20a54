"""Sockets toward servers."""
