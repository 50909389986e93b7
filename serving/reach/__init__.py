"""Calls from vouch to other systems, which an operator has named: weeks and messages out, work of people back in."""
