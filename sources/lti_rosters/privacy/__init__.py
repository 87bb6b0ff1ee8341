"""Whose data it is: what of a member may go on, before anything else sees them (design §7)."""
