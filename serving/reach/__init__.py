"""What goes from vouch to other systems by itself, and comes back from them."""
