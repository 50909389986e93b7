"""The commands: doors that read what was typed, call the room behind, and show what it gave; `reach` calls others."""
