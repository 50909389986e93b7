"""Calls from vouch to other systems, which an operator has named: weeks and messages out, work of people back in.

`destinations` are what the operator has named, `outbound` the one client that calls them; `crm` takes weeks and gives
back what its people did, `messages` tell people and systems.
"""
