"""What rules are made of: greedy picking, one row after the other."""
