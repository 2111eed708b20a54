"""Skins over the operations of a bridge: ways in which somebody outside the process asks for one."""
