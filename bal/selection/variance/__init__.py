"""Rules by variances and determinants of a kernel."""
