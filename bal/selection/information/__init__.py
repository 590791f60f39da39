"""Rules by the joint information of a batch."""
