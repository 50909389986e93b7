"""The candidate policy: whom to ask to speak up, for what, in which order, and whom to leave in peace."""
