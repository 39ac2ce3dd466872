"""Codecs and knowledge of the standards, a package or module each: pure functions of bytes and text.

Nothing here knows a socket, a clock, a database or a web framework.
"""
